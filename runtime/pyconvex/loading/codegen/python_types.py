"""Validators as Python types, and which imports a generated text needs."""

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

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

SYSTEM_IDS: Mapping[str, str] = {"_scheduled_functions": "ScheduledFunctionId", "_storage": "StorageId"}
"""The types of the ids of system tables."""

_PLAIN: Mapping[type[Validator], str] = {
    AnyValue: "Any",
    BigInt: "Int64",
    Boolean: "bool",
    Bytes: "bytes",
    Null: "None",
    String: "str",
}

_ORIGINS: Mapping[str, Sequence[str]] = {
    "collections.abc": ("Awaitable", "Callable", "Mapping", "Sequence"),
    "typing": ("Any", "Literal", "Never", "NotRequired", "Protocol", "Self", "TypeAlias", "TypedDict", "overload"),
    "pyconvex.server": ("FunctionReference", "Request", "Response"),
    "pyconvex.typed": (
        "ActingCtx",
        "AsyncFunction",
        "ByTime",
        "Decorator",
        "Document",
        "FilteredSearch",
        "OrderedQuery",
        "Query",
        "QueryInitializer",
        "Range",
        "RangeOf",
        "ReadingCtx",
        "ReadsSystem",
        "ScheduledFunctionId",
        "Search",
        "SearchBuilder",
        "Step",
        "StorageId",
        "TableId",
        "TableReader",
        "TableWriter",
        "VectorCondition",
        "VectorFilter",
        "VectorMatch",
        "WritingCtx",
        "reference",
    ),
    "pyconvex.values": ("Int64", "Undefined"),
}
TYPE_NAMES = frozenset({"Id", "bool", "bytes", "dict", "float", "int", "list", "str"}.union(*_ORIGINS.values()))
"""What generated types are written with, so that a name in their scope must not be one of these."""

_TEXTS = re.compile(r'"""(?:.|\n)*?"""|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#.*')
_NAMES = re.compile(r"(?<![\w.])(?<!class )[A-Za-z]\w*")


def imports_for(text: str, local: Mapping[str, Sequence[str]] = MappingProxyType({})) -> str:
    """The import lines for the names that `text` uses, in the order of formatters.

    Args:
        local: names of neighbouring modules, by module: `{".data_model": ("Doc", "Id")}`.
    """
    used = set(_NAMES.findall(_TEXTS.sub("", text)))
    groups: tuple[list[str], list[str], list[str]] = [], [], []
    for origin, names in {**_ORIGINS, **local}.items():
        wanted = [name for name in names if name in used]
        if wanted:
            group = 2 if origin.startswith(".") else 1 if origin.startswith("pyconvex") else 0
            groups[group].append(_import(origin, wanted))
    return "\n".join("".join(lines) for lines in groups if lines)


def _import(origin: str, names: Sequence[str]) -> str:
    line = f"from {origin} import {', '.join(names)}\n"
    if len(line) <= 120:
        return line
    listed = "".join(f"    {name},\n" for name in names)
    return f"from {origin} import (\n{listed})\n"


def member_names(tables: Iterable[str]) -> dict[str, str]:
    """What each table is called in Python: a keyword gets a trailing underscore (`Id.from_`)."""
    known = set(tables)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for table in sorted(known):
        name = table
        while keyword.iskeyword(name) or name in taken or (name != table and name in known):
            name += "_"
        taken.add(name)
        names[table] = name
    return names


def leaf_type(validator: Validator, members: Mapping[str, str], number: str = "int | float") -> str:
    """The type of a validator that holds no others."""
    match validator:
        case Id(table=table):
            return f"Id.{members[table]}" if table in members else SYSTEM_IDS.get(table, "str")
        case Number():
            return number
        case Literal(value=value):
            return literal_type([value], number="float")
        case _:
            return _PLAIN.get(type(validator), "Any")


def literal_type(values: Sequence[object], number: str = "float") -> str:
    """`Literal[...]` for what it can hold, and the plain type for floats and int64."""
    held = [value for value in values if isinstance(value, str | bool | int) and not isinstance(value, Int64)]
    texts: list[str] = []
    if held:
        texts.append(f"Literal[{', '.join(map(quoted, held))}]")
    if any(isinstance(value, Int64) for value in values):
        texts.append("Int64")
    if any(isinstance(value, float) for value in values):
        texts.append(number)
    return " | ".join(texts)


def union_type(members: Sequence[Validator], others: Iterable[str]) -> str:
    """The type of a union: its literals together, then the types of its `others`, each once."""
    literals = [member.value for member in members if isinstance(member, Literal)]
    texts = [*([literal_type(literals)] if literals else []), *others]
    if "Any" in texts:
        return "Any"
    return " | ".join(dict.fromkeys(part for text in texts for part in _alternatives(text))) or "Never"


def operand_type(validator: Validator, path: str, members: Mapping[str, str]) -> str:
    """The type of what the field at `path` is compared with; `Undefined` is a part of it where it may be missing."""
    found = list(_at(validator, path.split(".")))
    types = union_type(
        [each for each in found if isinstance(each, Literal)],
        [_operand(each, members) for each in found if each is not None and not isinstance(each, Literal)],
    )
    missing = any(each is None for each in found)
    return f"{types} | Undefined" if missing and types != "Any" else types


def field_paths(validator: Validator, prefix: str = "") -> list[str]:
    """The paths of all fields that a document may have, nested ones after their parents."""
    paths: dict[str, None] = {}
    for member in members_of(validator):
        if isinstance(member, Object):
            for name, field in member.fields.items():
                paths[prefix + name] = None
                paths |= dict.fromkeys(field_paths(field, f"{prefix}{name}."))
    return list(paths)


def members_of(validator: Validator) -> list[Validator]:
    """What a value may be: the members of unions, however deep, or the validator itself."""
    if isinstance(validator, Union):
        return [leaf for member in validator.members for leaf in members_of(member)]
    return [validator]


def quoted(value: object) -> str:
    """A literal in double quotes, as formatters write it."""
    if not isinstance(value, str):
        return repr(value)
    text = repr(value)
    return text if text[0] == '"' or '"' in text else f'"{text[1:-1]}"'


def _alternatives(text: str) -> list[str]:
    """The members of a union as text. None of them has ` | ` outside of brackets."""
    parts: list[str] = []
    depth = 0
    for part in text.split(" | "):
        if depth:
            parts[-1] += f" | {part}"
        else:
            parts.append(part)
        depth += part.count("[") - part.count("]")
    return parts


def _at(validator: Validator, path: Sequence[str]) -> Iterator[Validator | None]:
    """What the field at `path` may be; None where it may be missing."""
    for member in members_of(validator):
        if not path or isinstance(member, AnyValue):
            yield member
            continue
        match member:
            case Object() if path[0] in member.fields:
                field = member.fields[path[0]]
                if field.optional:
                    yield None
                yield from _at(field, path[1:])
            case Record():
                yield None
                yield from _at(member.values, path[1:])
            case _:
                yield None


def _operand(validator: Validator, members: Mapping[str, str]) -> str:
    match validator:
        case Object():
            return "Mapping[str, Any]"
        case Record(values=values):
            return f"Mapping[str, {_operand(values, members)}]"
        case Array(element=element):
            return f"Sequence[{_operand(element, members)}]"
        case Union():
            parts = members_of(validator)
            return union_type(parts, [_operand(each, members) for each in parts if not isinstance(each, Literal)])
        case _:
            return leaf_type(validator, members, number="float")
