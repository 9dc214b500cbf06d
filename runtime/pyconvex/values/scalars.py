"""Validators of values that hold no other values."""

from typing import ClassVar, Final, cast, final

from .display import display_in_error
from .ids import InvalidId, decode_id
from .int64 import Int64
from .kinds import Value
from .mismatch import no_match, other_literal, other_table
from .validator import TableNames, Validator, named
from .wire import encodable

_EVERYTHING: Final[frozenset[type]] = frozenset({type(None), bool, int, float, Int64, str, bytes, list, dict})


class _Scalar(Validator):
    """A validator that looks at nothing but the type of a value."""

    _json_type: ClassVar[str]
    _name: ClassVar[str]

    def __init__(self) -> None:
        plain = self.plain

        def check(value: Value, tables: TableNames) -> Value:
            if type(value) in plain:
                return value
            raise no_match(value, self.text())

        self.check = check

    def json(self) -> dict[str, object]:
        return {"type": self._json_type}

    def text(self) -> str:
        return f"v.{self._name}()"


@final
class AnyValue(_Scalar):
    """Every Convex value."""

    kind = _json_type = _name = "any"
    plain = _EVERYTHING


@final
class Null(_Scalar):
    """`None`."""

    kind = _json_type = _name = "null"
    plain = frozenset({type(None)})


@final
class Boolean(_Scalar):
    """`True` and `False`."""

    kind = _json_type = _name = "boolean"
    plain = frozenset({bool})


@final
class String(_Scalar):
    """A `str`."""

    kind = _json_type = _name = "string"
    plain = frozenset({str})


@final
class Bytes(_Scalar):
    """`bytes`."""

    kind = _json_type = _name = "bytes"
    plain = frozenset({bytes})


@final
class BigInt(_Scalar):
    """An `Int64`. A plain `int` is a float64 in Convex and does not match."""

    kind = _name = "int64"
    _json_type = "bigint"
    plain = frozenset({Int64})

    def __init__(self) -> None:
        def check(value: Value, tables: TableNames) -> Value:
            if type(value) is Int64:
                return value
            hint = f"write Int64({value}); a plain int is a float64 in Convex" if type(value) is int else None
            raise no_match(value, self.text(), hint=hint)

        self.check = check


@final
class Number(_Scalar):
    """A float64: `int` or `float`, handed on as it was written.

    Args:
        as_int: from the annotation `int`: the number must be whole and is handed on as `int`.
        as_float: from the annotation `float`: the number is handed on as `float`.
    """

    kind = _name = "float64"
    _json_type = "number"
    plain = frozenset({int, float})

    def __init__(self, *, as_int: bool = False, as_float: bool = False) -> None:
        assert not (as_int and as_float), "a number is handed on in one form"
        self.as_int = as_int
        self.as_float = as_float
        if as_int:
            self.plain = frozenset({int})
            self.check = self._check_whole
        elif as_float:
            self.plain = frozenset({float})
            self.check = self._check_float
        else:
            super().__init__()

    def _check_whole(self, value: Value, tables: TableNames) -> Value:
        if type(value) is int:
            return value
        if type(value) is float:
            if value.is_integer():
                return int(value)
            raise no_match(value, self.text(), hint="a whole number is needed here: it is annotated as int")
        raise no_match(value, self.text())

    def _check_float(self, value: Value, tables: TableNames) -> Value:
        if type(value) is float:
            return value
        if type(value) is int:
            return float(value)
        raise no_match(value, self.text())

    def _identity(self) -> object:
        return self.as_int, self.as_float


@final
class Id(Validator):
    """The id of a document of one table. Whether the document exists is not looked at.

    Args:
        table: the table's name.
    """

    kind = "id"

    def __init__(self, table: str) -> None:
        if not isinstance(table, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise TypeError(f"v.id(tableName) requires a string, not {named(table)}")
        self.table = table

        def check(value: Value, tables: TableNames) -> Value:
            try:
                found = tables(decode_id(value).table) if type(value) is str else None
            except InvalidId:
                found = None
            if found == table:
                return value
            if found is None:
                raise no_match(value, self.text())
            raise other_table(cast(str, value), found, self.text())

        self.check = check

    @property
    def table_name(self) -> str:
        """Convex's name for `table`."""
        return self.table

    def json(self) -> dict[str, object]:
        return {"type": "id", "tableName": self.table}

    def text(self) -> str:
        return f"v.id({display_in_error(self.table)})"


@final
class Literal(Validator):
    """One string, number, boolean or Int64. `v.literal(1)` matches `1` and `1.0`, not `True` and not `Int64(1)`."""

    kind = "literal"

    def __init__(self, value: str | float | bool | Int64) -> None:
        if not isinstance(value, str | int | float):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
            advice = "; for None there is v.null()" if value is None else ""
            raise TypeError(f"v.literal(value) must be a string, number, or boolean, not {named(value)}{advice}")
        if isinstance(value, float) and value - value != 0.0:
            raise TypeError(f"v.literal(value) must be a finite number, not {value!r}")
        self.value = value
        types = Number.plain if type(value) in Number.plain else frozenset({type(value)})

        def check(candidate: Value, tables: TableNames) -> Value:
            if type(candidate) in types and candidate == value:
                return candidate
            raise other_literal(candidate, self.text())

        self.check = check

    def json(self) -> dict[str, object]:
        return {"type": "literal", "value": encodable(self.value)}

    def text(self) -> str:
        return f"v.literal({display_in_error(self.value)})"
