"""Whether one validator accepts all that another one accepts: then documents need not be looked at again."""

from .containers import Array, Object, Record, Union
from .int64 import Int64
from .scalars import AnyValue, BigInt, Boolean, Id, Literal, Number, String
from .validator import Validator

_PLAIN_NUMBER = Number()


def contains(wide: Validator, narrow: Validator) -> bool:
    """Whether every value that matches `narrow` matches `wide`. True is certain; False may only mean "not obvious"."""
    if isinstance(wide, AnyValue):
        return True
    if isinstance(narrow, Union):
        return all(contains(wide, member) for member in narrow.members)
    if isinstance(wide, Union):
        return any(contains(member, narrow) for member in wide.members)
    match wide, narrow:
        case Array(), Array():
            return contains(wide.element, narrow.element)
        case Object(), Object():
            return _object_contains(wide, narrow)
        case Record(), Record():
            return contains(wide.keys, narrow.keys) and contains(wide.values, narrow.values)
        case Record(), Object():
            return _record_contains(wide, narrow)
        case Id(), Id():
            return wide.table == narrow.table
        case Literal(), Literal():
            return type(wide) is type(narrow) and wide == narrow
        case _, Literal():
            return _scalar_contains(wide, narrow.value)
        case String(), Id():
            return True
        case Number(), Number():
            return wide in (_PLAIN_NUMBER, narrow)
        case _:
            return type(wide) is type(narrow)


def _object_contains(wide: Object, narrow: Object) -> bool:
    for name, field in narrow.fields.items():
        other = wide.fields.get(name)
        if other is None or (field.optional and not other.optional) or not contains(other, field):
            return False
    return all(field.optional for name, field in wide.fields.items() if name not in narrow.fields)


def _record_contains(wide: Record, narrow: Object) -> bool:
    if not isinstance(wide.keys, String) or any(name.startswith("_") for name in narrow.fields):
        return False
    return all(contains(wide.values, field) for field in narrow.fields.values())


def _scalar_contains(wide: Validator, value: object) -> bool:
    match value:
        case str():
            return isinstance(wide, String)
        case bool():
            return isinstance(wide, Boolean)
        case Int64():
            return isinstance(wide, BigInt)
        case _:
            return wide == _PLAIN_NUMBER
