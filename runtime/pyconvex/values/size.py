"""How large and how deep a value is, in the units of Convex's limits."""

from typing import Final, cast

from .kinds import Value

SYSTEM_FIELD_SIZES: Final = {"_id": 38, "_creationTime": 23}
"""What the system fields add to a document that does not have them yet: name, separator and value."""


def size_of(value: Value) -> int:
    """The size of a value in bytes."""
    kind = type(value)
    if kind is str:
        text = cast(str, value)
        return 2 + (len(text) if text.isascii() else len(text.encode()))
    if kind is dict:
        return _object_size(cast("dict[str, Value]", value))
    if kind is list:
        return 2 + sum(map(size_of, cast("list[Value]", value)))
    if value is None or kind is bool:
        return 1
    if kind is bytes:
        return 2 + len(cast(bytes, value))
    return 9


def document_size(document: dict[str, Value]) -> int:
    """The size of a document in bytes, its system fields included also when it does not have them yet."""
    size = _object_size(document)
    for field, expected in SYSTEM_FIELD_SIZES.items():
        if field not in document:
            size += expected
    return size


def depth_of(value: Value) -> int:
    """How deep a value is nested: 0 for a scalar, 1 for an array or object of scalars (or of nothing)."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def _object_size(fields: dict[str, Value]) -> int:
    size = 2 + len(fields)
    for name, value in fields.items():
        # Texts and floats are most of what documents hold; a call less for each of them.
        if type(value) is str and value.isascii():
            size += len(name) + len(value) + 2
        elif type(value) is float:
            size += len(name) + 9
        else:
            size += len(name) + size_of(value)
    return size
