"""The text of `_generated/data_model.py`: a project's tables as Python types."""

import keyword
from collections.abc import Mapping, Sequence

from pyconvex.loading.generated import header
from pyconvex.schema import Schema
from pyconvex.values.names import SYSTEM_FIELDS
from pyconvex.values.validators import (
    AnyValue,
    Array,
    BigInt,
    Boolean,
    Bytes,
    Id,
    Literal,
    Null,
    Number,
    Object,
    Record,
    String,
    Union,
    Validator,
)
from pyconvex.values.value import Int64

_SYSTEM_TABLES = ("_storage",)
_PLAIN: Mapping[type[Validator], str] = {
    AnyValue: "Any",
    BigInt: "Int64",
    Boolean: "bool",
    Bytes: "bytes",
    Null: "None",
    Number: "int | float",
    String: "str",
}


def data_model_text(schema: Schema) -> str:
    """`data_model.py`: `Id`, `Doc` and `TableName`.

    `Id.users` is the type of the ids of table `users`, a `str` at run time; `Doc.users` a TypedDict of its documents.
    A table named like a Python keyword gets a trailing underscore. Optional fields are `NotRequired`.
    """
    writer = _Writer(schema)
    documents = "".join(writer.document(name) for name in writer.tables)
    body = f"{writer.ids()}{documents}{writer.doc()}{writer.names()}"
    return f"{header('schema.py')}{_ABOUT}{writer.imports()}{body}"


_ABOUT = '"""The tables of this project as types."""\n\n'


class _Writer:
    def __init__(self, schema: Schema) -> None:
        self.tables = {name: table for name, table in sorted(schema.tables.items()) if name.isidentifier()}
        self._members = _member_names(self.tables)
        self._imported = {"ClassVar", "TypeAlias"}
        self._classes: set[str] = set()
        self._documents: dict[str, str] = {}

    def ids(self) -> str:
        return (
            "\n\nclass _TableId(str):\n    __slots__ = ()\n    __convex_table__: ClassVar[str]\n"
            '\n\nclass Id:\n    """The ids of each table: annotate a parameter `Id.users`."""\n'
            + "".join(
                f'\n    class {member}(_TableId):\n        __slots__ = ()\n        __convex_table__ = "{table}"\n'
                for table, member in (*self._members.items(), *((name, name) for name in _SYSTEM_TABLES))
            )
        )

    def document(self, table: str) -> str:
        """The TypedDict of a table's documents, after those of the objects inside them."""
        helpers: list[str] = []
        validator = self.tables[table].validator
        members = validator.members if isinstance(validator, Union) else (validator,)
        name = self._documents[table] = self._class(table)
        if len(members) == 1 and isinstance(members[0], Object):
            return self._typed_dict(name, table, members[0], helpers, system_of=table)
        shapes: list[str] = []
        for number, member in enumerate(members, 1):
            if not isinstance(member, Object):
                shapes.append("dict[str, Any]")
                self._imported.add("Any")
                continue
            shape = self._class(f"{table}_{number}")
            helpers.append(self._typed_dict(shape, f"{table}_{number}", member, [], system_of=table))
            shapes.append(shape)
        return "".join(helpers) + f"\n\n{name}: TypeAlias = {' | '.join(shapes) or 'dict[str, Any]'}\n"

    def doc(self) -> str:
        about = '    """The documents of each table: annotate a result `Doc.users`."""\n'
        members = "".join(
            f"    {member}: TypeAlias = {self._documents[table]}\n" for table, member in self._members.items()
        )
        return f"\n\nclass Doc:\n{about}" + (f"\n{members}" if members else "")

    def names(self) -> str:
        if not self.tables:
            return "\n\nTableName: TypeAlias = str\n"
        self._imported.add("Literal")
        return f"\n\nTableName: TypeAlias = Literal[{', '.join(map(_quoted, self.tables))}]\n"

    def imports(self) -> str:
        """What the whole text uses, so it is asked for last and written first."""
        typing = ", ".join(sorted(self._imported - {"Int64"}))
        values = "\nfrom pyconvex.values import Int64\n" if "Int64" in self._imported else ""
        return f"from typing import {typing}\n{values}"

    def _class(self, wanted: str) -> str:
        name = f"_{wanted}"
        while name in self._classes:
            name += "_"
        self._classes.add(name)
        return name

    def _typed_dict(
        self, name: str, path: str, validator: Object, helpers: list[str], *, system_of: str | None = None
    ) -> str:
        self._imported.add("TypedDict")
        fields: list[str] = []
        if system_of is not None:
            fields = [f'"_id": Id.{self._members[system_of]}', '"_creationTime": float']
        for key, field in validator.fields.items():
            if system_of is not None and key in SYSTEM_FIELDS:
                continue
            text = self._type(field, f"{path}_{key}", helpers)
            if field.optional:
                self._imported.add("NotRequired")
                text = f"NotRequired[{text}]"
            fields.append(f"{_quoted(key)}: {text}")
        lines = "".join(f"        {field},\n" for field in fields)
        body = f"    {{\n{lines}    }},\n" if lines else "    {},\n"
        return "".join(helpers) + f'\n\n{name} = TypedDict(\n    "{name}",\n{body})\n'

    def _type(self, validator: Validator, path: str, helpers: list[str]) -> str:
        match validator:
            case Object():
                name = self._class("".join(letter if letter.isalnum() else "_" for letter in path))
                inner: list[str] = []
                helpers.append(self._typed_dict(name, name[1:], validator, inner))
                return name
            case Array(element=element):
                return f"list[{self._type(element, path, helpers)}]"
            case Record(values=values):
                return f"dict[str, {self._type(values, path, helpers)}]"
            case Union(members=members):
                return self._union(members, path, helpers)
            case Id(table=table):
                member = self._members.get(table) or (table if table in _SYSTEM_TABLES else None)
                return f"Id.{member}" if member else "str"
            case Literal(value=value):
                return self._literal([value])
            case _:
                return self._plain(validator)

    def _union(self, members: Sequence[Validator], path: str, helpers: list[str]) -> str:
        literals = [member.value for member in members if isinstance(member, Literal)]
        others = [self._type(member, path, helpers) for member in members if not isinstance(member, Literal)]
        if literals:
            others.insert(0, self._literal(literals))
        if not others:
            self._imported.add("Never")
        return " | ".join(dict.fromkeys(others)) or "Never"

    def _literal(self, values: Sequence[object]) -> str:
        """`Literal[...]` for what it can hold, and the plain type for floats and int64."""
        held = [value for value in values if isinstance(value, str | bool | int) and not isinstance(value, Int64)]
        texts: list[str] = []
        if held:
            self._imported.add("Literal")
            texts.append(f"Literal[{', '.join(map(_quoted, held))}]")
        if any(isinstance(value, Int64) for value in values):
            self._imported.add("Int64")
            texts.append("Int64")
        if any(isinstance(value, float) for value in values):
            texts.append("float")
        return " | ".join(texts)

    def _plain(self, validator: Validator) -> str:
        text = _PLAIN.get(type(validator), "Any")
        if text in ("Any", "Int64"):
            self._imported.add(text)
        return text


def _member_names(tables: Mapping[str, object]) -> dict[str, str]:
    names: dict[str, str] = {}
    for table in tables:
        name = table
        while keyword.iskeyword(name) or name in names.values() or (name != table and name in tables):
            name += "_"
        names[table] = name
    return names


def _quoted(value: object) -> str:
    """A literal in double quotes, as formatters write it."""
    if not isinstance(value, str):
        return repr(value)
    text = repr(value)
    return text if text[0] == '"' or '"' in text else f'"{text[1:-1]}"'
