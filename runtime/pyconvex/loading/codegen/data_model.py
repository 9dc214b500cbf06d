"""The text of `_generated/data_model.py`: a project's tables as Python types."""

import keyword
from collections.abc import Mapping, Sequence
from copy import copy
from enum import Enum

from pyconvex.loading.codegen.generated import header
from pyconvex.loading.codegen.python_types import (
    SYSTEM_IDS,
    TYPE_NAMES,
    imports_for,
    leaf_type,
    member_names,
    members_of,
    quoted,
    union_type,
)
from pyconvex.schema import Schema
from pyconvex.values.names import SYSTEM_FIELDS
from pyconvex.values.validators import Array, Literal, Object, Record, Union, Validator, optional

_ANYTHING = "dict[str, Any]"


class _Form(Enum):
    """The three forms of a table's documents, with their classes in `data_model.py`."""

    DOC = "Doc"
    FIELDS = "Fields"
    PATCH = "Patch"


_ABOUT: Mapping[_Form, str] = {
    _Form.DOC: "The documents of each table: annotate a result `Doc.users`.",
    _Form.FIELDS: "What `insert` and `replace` take: documents without `_id` and `_creationTime`.",
    _Form.PATCH: "What `patch` takes: any of the fields; `undefined` removes an optional one.",
}


def data_model_text(schema: Schema) -> str:
    """`data_model.py`: `Id`, `Doc`, `Fields`, `Patch` and `TableName`.

    `Id.users` is the type of the ids of table `users`, a `str` at run time; `Doc.users` a TypedDict of its documents.
    A table named like a Python keyword gets a trailing underscore. Optional fields are `NotRequired`.
    """
    writer = _Writer(schema)
    forms = [writer.form(form) for form in _Form]
    body = f"{writer.ids()}{''.join(writer.helpers)}{''.join(forms)}{writer.names()}"
    return f'{header("schema.py")}"""The tables of this project as types."""\n\n{imports_for(body)}{body}'


class _Writer:
    def __init__(self, schema: Schema) -> None:
        self.tables = {name: table for name, table in sorted(schema.tables.items()) if name.isidentifier()}
        self.helpers: list[str] = []
        """What stands before the classes of the forms: objects inside of documents, members of unions."""
        self._members = member_names(self.tables)
        self._nests = TYPE_NAMES.isdisjoint(self._members.values())
        """Whether classes can stand inside of others: beside one called `list`, mypy misunderstands `list[str]`."""
        self._taken: set[str] = set()
        self._objects: dict[tuple[str, Object], str] = {}

    def ids(self) -> str:
        classes = "".join(
            f'\n    class {member}(TableId):\n        __convex_table__ = "{table}"\n'
            for table, member in self._members.items()
        )
        system = "".join(f"    {table}: TypeAlias = {name}\n" for table, name in SYSTEM_IDS.items())
        return f'\n\nclass Id:\n    """The ids of each table: annotate a parameter `Id.users`."""\n{classes}\n{system}'

    def form(self, form: _Form) -> str:
        """One of the classes `Doc`, `Fields`, `Patch`."""
        members = "".join(self._member(form, table, member) for table, member in self._members.items())
        return f'\n\nclass {form.value}:\n    """{_ABOUT[form]}"""\n{members}'

    def names(self) -> str:
        listed = ", ".join(map(quoted, self.tables))
        return f"\n\nTableName: TypeAlias = {f'Literal[{listed}]' if listed else 'str'}\n"

    def _member(self, form: _Form, table: str, member: str) -> str:
        """One table in one form: a class where it can be written as one, else the name of what can."""
        shapes = members_of(self.tables[table].validator)
        objects = [shape for shape in shapes if isinstance(shape, Object)]
        if form is _Form.PATCH and len(objects) == len(shapes) > 1:
            objects = shapes = [_merged(objects)]
        if len(shapes) == len(objects) == 1:
            fields = self._fields(form, table, objects[0], table)
            if self._nests and _are_plain(fields):
                return _indented(_typed_dict(member, fields, total=form is not _Form.PATCH))
            return f"\n    {member}: TypeAlias = {self._helper(form, f'_{table}', fields)}\n"
        if form is _Form.PATCH:
            return f"\n    {member}: TypeAlias = {_ANYTHING}\n"
        names = [
            self._helper(form, f"_{table}_{number}", self._fields(form, table, shape, f"{table}_{number}"))
            if isinstance(shape, Object)
            else _ANYTHING
            for number, shape in enumerate(shapes, 1)
        ]
        return f"\n    {member}: TypeAlias = {' | '.join(dict.fromkeys(names)) or _ANYTHING}\n"

    def _fields(self, form: _Form, table: str, shape: Object, path: str) -> dict[str, str]:
        fields: dict[str, str] = {}
        if form is _Form.DOC:
            fields = {"_id": f"Id.{self._members[table]}", "_creationTime": "float"}
        for name, field in shape.fields.items():
            if name in SYSTEM_FIELDS:
                continue
            text = self._type(field, f"{path}_{name}")
            if field.optional and form is not _Form.DOC and text != "Any":
                text = f"{text} | Undefined"
            if field.optional and form is not _Form.PATCH:
                text = f"NotRequired[{text}]"
            fields[name] = text
        return fields

    def _helper(self, form: _Form, wanted: str, fields: Mapping[str, str]) -> str:
        """A TypedDict before the classes; its name."""
        name = self._name(wanted if form is _Form.DOC else f"{wanted}_{form.value.lower()}")
        self.helpers.append(_typed_dict(name, fields, total=form is not _Form.PATCH))
        return name

    def _object(self, path: str, shape: Object) -> str:
        """The TypedDict of an object inside of documents, which all forms share; its name."""
        known = self._objects.get((path, shape))
        if known is None:
            fields = {
                key: f"NotRequired[{text}]" if field.optional else text
                for key, field in shape.fields.items()
                for text in [self._type(field, f"{path}_{key}")]
            }
            known = self._objects[path, shape] = self._name(
                "_" + "".join(letter if letter.isalnum() else "_" for letter in path)
            )
            self.helpers.append(_typed_dict(known, fields))
        return known

    def _name(self, wanted: str) -> str:
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted

    def _type(self, validator: Validator, path: str) -> str:
        match validator:
            case Object():
                return self._object(path, validator)
            case Array(element=element):
                return f"list[{self._type(element, path)}]"
            case Record(keys=keys, values=values):
                return f"dict[{self._type(keys, path)}, {self._type(values, path)}]"
            case Union():
                parts = members_of(validator)
                return union_type(parts, [self._type(part, path) for part in parts if not isinstance(part, Literal)])
            case _:
                return leaf_type(validator, self._members)


def _merged(shapes: Sequence[Object]) -> Object:
    """One object with the fields of all; optional are those that one of them can do without."""
    fields: dict[str, Validator] = {}
    for shape in shapes:
        for name in shape.fields:
            found = [each.fields[name] for each in shapes if name in each.fields]
            required = [_without_optional(field) for field in found]
            merged = required[0] if len(set(required)) == 1 else Union(*required)
            can_miss = len(found) < len(shapes) or any(field.optional for field in found)
            fields[name] = optional(merged) if can_miss else merged
    return Object(fields)


def _without_optional(field: Validator) -> Validator:
    required = copy(field)
    required.optional = False
    return required


def _are_plain(fields: Mapping[str, str]) -> bool:
    """Whether the fields can be written as the body of a class."""
    return all(
        name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__") and name not in TYPE_NAMES
        for name in fields
    )


def _typed_dict(name: str, fields: Mapping[str, str], *, total: bool = True) -> str:
    if _are_plain(fields):
        lines = "".join(f"    {field}: {text}\n" for field, text in fields.items()) or "    pass\n"
        return f"\n\nclass {name}(TypedDict{'' if total else ', total=False'}):\n{lines}"
    lines = "".join(f"        {quoted(field)}: {text},\n" for field, text in fields.items())
    end = "" if total else "    total=False,\n"
    return f'\n\n{name} = TypedDict(\n    "{name}",\n    {{\n{lines}    }},\n{end})\n'


def _indented(text: str) -> str:
    """A class inside of another."""
    return "".join(f"    {line}\n" if line else "\n" for line in text.removeprefix("\n").splitlines())
