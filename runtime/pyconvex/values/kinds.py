"""What a Convex value is: the type `Value`, the marker `undefined`, and the error about anything else."""

from typing import Final, TypeAlias, final

from pyconvex.errors import DeveloperError

Value: TypeAlias = bool | int | float | str | bytes | list["Value"] | dict[str, "Value"] | None
"""A value of Convex. A plain `int` and a `float` are both a float64; an int64 is an `Int64`, which is an `int`."""

ARRAY_ELEMENTS_MAX: Final = 8192
OBJECT_FIELDS_MAX: Final = 1024
VALUE_DEPTH_MAX: Final = 64
TOO_NESTED: Final = "Value is too nested"
DOCUMENT_DEPTH_MAX: Final = 16
DOCUMENT_BYTES_MAX: Final = 2**20
EXACT_INT_MAX: Final = 2**53
"""The largest magnitude up to which every integer is a float64 of its own."""


@final
class Undefined:
    """The type of `undefined`."""

    __slots__ = ()
    _only: "Undefined | None" = None

    def __new__(cls) -> "Undefined":
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"

    def __reduce__(self) -> str:
        return "undefined"


undefined: Final = Undefined()
"""A field that is not there: `ctx.db.patch` removes it, an index range matches the documents without it."""


class InvalidValue(DeveloperError, TypeError):
    """Something that is no Convex value. The message says what, and at which path of the outer value."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("InvalidValue", message, hint=hint)
