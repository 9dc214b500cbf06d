"""Validators as TypeScript types, as the official `convex` client hands the values out.

https://docs.convex.dev/database/types
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyconvex.functions.open_object import OpenObject
from pyconvex.functions.pagination import pagination_opts_validator, pagination_result_validator
from pyconvex.loading.codegen.generated import MARK_JS, notice
from pyconvex.loading.codegen.python_types import SYSTEM_IDS, members_of
from pyconvex.schema import Schema
from pyconvex.values import Int64, v, validators
from pyconvex.values.names import SYSTEM_FIELDS
from pyconvex.values.validators import Validator

_NO_FIELDS = "Record<string, never>"
"""An object without fields. As arguments, the client lets it be left out."""

_PLAIN: Mapping[type[Validator], str] = {
    validators.AnyValue: "any",
    validators.BigInt: "bigint",
    validators.Boolean: "boolean",
    validators.Bytes: "ArrayBuffer",
    validators.Null: "null",
    validators.Number: "number",
    validators.String: "string",
}
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII)
_ORIGINS: Mapping[str, Sequence[str]] = {
    "convex/server": (
        "AnyDataModel",
        "DocumentByName",
        "FunctionReference",
        "PaginationOptions",
        "PaginationResult",
        "SystemTableNames",
        "TableNamesInDataModel",
    ),
    "convex/values": ("GenericId",),
}


class TypeScriptTypes:
    """Types as text, for a project with the tables of `schema`.

    What has a name of its own is called by it: `Doc<"messages">`, `PaginationResult<…>`.
    """

    def __init__(self, schema: Schema) -> None:
        self._tables = frozenset(schema.tables)
        self._names: dict[str, str] = {}
        self._page_rest = self._without_page(pagination_result_validator(v.any()))
        for table, definition in schema.tables.items():
            if not has_any(definition.validator):
                self._names.setdefault(self.document(table, definition.validator), f"Doc<{quoted(table)}>")
        self._names[self._object(pagination_opts_validator)] = "PaginationOptions"

    def of(self, validator: Validator) -> str:
        """The type of the values that `validator` accepts."""
        match validator:
            case validators.Object():
                page = self._page(validator)
                text = page or self._object(validator)
                return self._names.get(text, text)
            case OpenObject():
                return self._open_object(validator)
            case validators.Array(element=element):
                return f"Array<{self.of(element)}>"
            case validators.Record(keys=keys, values=values):
                return f"Record<{self.of(keys)}, {self.of(values)}>"
            case validators.Union():
                text = self._union(validator)
                return self._names.get(text, text)
            case validators.Id(table=table):
                known = table in self._tables or table in SYSTEM_IDS
                return f"{'Id' if known else 'GenericId'}<{quoted(table)}>"
            case validators.Literal(value=value):
                return _literal(value)
            case _:
                return _PLAIN.get(type(validator), "any")

    def arguments(self, validator: Validator | None) -> str:
        """The type of a function's args object."""
        return "any" if validator is None else self.of(validator)

    def document(self, table: str, validator: Validator) -> str:
        """The type of a table's documents, always in full."""
        return any_of(braces(fields) for fields in self.documents(table, validator))

    def documents(self, table: str, validator: Validator) -> Iterator[Sequence[str]]:
        """The fields of each form of a table's documents, system fields first."""
        for member in members_of(validator):
            if isinstance(member, validators.Object):
                own = {name: field for name, field in member.fields.items() if name not in SYSTEM_FIELDS}
                yield self._fields(
                    validators.Object({"_id": validators.Id(table), "_creationTime": validators.Number(), **own})
                )

    def _object(self, shape: validators.Object) -> str:
        return braces(self._fields(shape)) if shape.fields else _NO_FIELDS

    def _fields(self, shape: validators.Object) -> list[str]:
        return [self._field(name, field) for name, field in shape.fields.items()]

    def _field(self, name: str, field: Validator) -> str:
        return f"{key(name)}{'?' if field.optional else ''}: {self.of(field)}"

    def _open_object(self, shape: OpenObject) -> str:
        """TypeScript wants the named fields to be of the same type as all others, or that to be wider."""
        fields = shape.known.fields
        others = self.of(shape.further)
        if others != "any":
            missing = ["undefined"] if any(field.optional for field in fields.values()) else []
            others = any_of([others, *map(self.of, fields.values()), *missing])
        return braces([*self._fields(shape.known), f"[further: string]: {others}"])

    def _page(self, shape: validators.Object) -> str | None:
        """`PaginationResult<…>`, if it is one."""
        page = shape.fields.get("page")
        if not isinstance(page, validators.Array) or self._without_page(shape) != self._page_rest:
            return None
        return f"PaginationResult<{self.of(page.element)}>"

    def _without_page(self, shape: validators.Object) -> str:
        return self._object(shape.omit("page"))

    def _union(self, union: validators.Union) -> str:
        """Literals come first, as they do in the Python types, so that documents are recognised in both."""
        parts = members_of(union)
        literals = [part for part in parts if isinstance(part, validators.Literal)]
        return any_of(self.of(part) for part in (*literals, *(part for part in parts if part not in literals)))


def typescript_file(about: str, body: str, local: Mapping[str, Sequence[str]], source: str | None = None) -> str:
    """A whole file: the notice, the imports that `body` needs, and `body`.

    Args:
        about: a sentence for whoever opens it.
        local: names of neighbouring files, by file: `{"./dataModel.js": ("Doc", "Id")}`.
        source: as of `notice`.
    """
    lines = [
        f'import type {{ {", ".join(wanted)} }} from "{origin}";\n'
        for origin, names in {**_ORIGINS, **local}.items()
        if (wanted := [name for name in names if _uses(body, name)])
    ]
    return f"{MARK_JS}{notice(source)}\n/* eslint-disable */\n/** {about} @module */\n\n{''.join(lines)}\n{body}"


def _uses(text: str, name: str) -> bool:
    return re.search(rf"{name}(?<!\w{name})(?!\w)", text) is not None  # begins with letters, which is quick to look for


def has_any(validator: Validator) -> bool:
    """Whether the documents of a table with this validator may be anything."""
    return any(isinstance(member, validators.AnyValue) for member in members_of(validator))


def quoted(text: str) -> str:
    """A string literal."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def key(name: str) -> str:
    """The key of a type literal, in quotes where it has to be."""
    return name if _IDENTIFIER.fullmatch(name) else quoted(name)


def braces(members: Iterable[str]) -> str:
    """A type literal on one line."""
    listed = "; ".join(members)
    return f"{{ {listed} }}" if listed else "{}"


def any_of(types: Iterable[str]) -> str:
    """A union, each member once."""
    texts = dict.fromkeys(types)
    return "any" if "any" in texts else " | ".join(texts) or "never"


def _literal(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Int64():
            return f"{int(value)}n"
        case float() if value.is_integer():
            return str(int(value))
        case str():
            return quoted(value)
        case _:
            return repr(value)
