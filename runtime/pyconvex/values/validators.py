"""`v`, which builds validators (https://docs.convex.dev/functions/validation), and the door to their classes."""

from typing import Final, final

from .containers import Array, Object, Record, Union
from .mismatch import ValidationFailed
from .scalars import AnyValue, BigInt, Boolean, Bytes, Id, Literal, Null, Number, String
from .validator import TableNames, Validator, optional

__all__ = [
    "AnyValue",
    "Array",
    "BigInt",
    "Boolean",
    "Bytes",
    "Id",
    "Literal",
    "Null",
    "Number",
    "Object",
    "Record",
    "String",
    "TableNames",
    "Union",
    "ValidationFailed",
    "Validator",
    "Validators",
    "nullable",
    "optional",
    "v",
]


def nullable(validator: Validator) -> Union:
    """What `validator` accepts, or `None`."""
    return Union(validator, Null())


@final
class Validators:
    """The type of `v`, which builds validators."""

    any = AnyValue
    null = Null
    boolean = Boolean
    number = Number
    float64 = Number
    int64 = BigInt
    bigint = BigInt
    string = String
    bytes = Bytes
    id = Id
    literal = Literal
    array = Array
    object = Object
    record = Record
    union = Union
    optional = staticmethod(optional)
    nullable = staticmethod(nullable)


v: Final = Validators()
