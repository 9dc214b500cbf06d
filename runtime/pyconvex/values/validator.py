"""What every validator has, and the rules that validators are made by.

Each validator builds one checking function when it is made. A check takes a value and returns it, coerced where a
Python annotation asks for `int` or `float`; containers are copied only where something inside them was coerced.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, TypeAlias, cast

from .display import display_object
from .kinds import Value
from .mismatch import Mismatch

TableNames: TypeAlias = Callable[[int], str | None]
"""The name of the table with a number, or None when there is none."""

Check: TypeAlias = Callable[[Any, TableNames], Any]
"""Returns the value, coerced where that was asked for, or raises `Mismatch`."""


class Validator(ABC):
    """What a value must look like. Immutable; equal to every validator that accepts the same in the same form."""

    kind: ClassVar[str]
    """Convex's name of the kind: `"string"`, `"float64"`, `"object"`, …"""

    optional: bool = False
    """Whether the field that this describes may be missing (`v.optional`)."""

    plain: frozenset[type] = frozenset()
    """Values of exactly these types match without a further look and stay as they are."""

    check: Check
    """For the validators around this one; everybody else calls `validate`."""

    @property
    def is_optional(self) -> bool:
        """Convex's name for `optional`."""
        return self.optional

    def validate(self, value: Value, tables: TableNames) -> Value:
        """`value`, with numbers made `int` or `float` where an annotation asks for it. The original stays as it is.

        Args:
            tables: tells the name of a table from its number, for `v.id`.

        Raises:
            ValidationFailed: `value` does not match.
        """
        try:
            return self.check(value, tables)
        except Mismatch as mismatch:
            raise mismatch.failure() from None

    @abstractmethod
    def json(self) -> dict[str, object]:
        """The validator JSON of a function spec, without `optional`, which belongs to the field."""

    @abstractmethod
    def text(self) -> str:
        """The validator as it is written in code, without its `v.optional(...)`."""

    def parts(self) -> tuple["Validator", ...]:
        """The validators that this one is made of."""
        return ()

    def _identity(self) -> object:
        """What tells apart validators of one class; can be hashed."""
        return self.text()

    def __str__(self) -> str:
        return f"v.optional({self.text()})" if self.optional else self.text()

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        same = cast(Validator, other)
        return self.optional == same.optional and self._identity() == same._identity()

    def __hash__(self) -> int:
        return hash((type(self), self.optional, self._identity()))


def optional(validator: Validator) -> Validator:
    """As a field of an object: the field may be missing. Missing is not `None`; for that there is `v.nullable`."""
    require_validator(validator, "v.optional() needs a validator")
    changed = copy(validator)
    changed.optional = True
    return changed


def require_validator(candidate: object, rule: str) -> None:
    """Refuse with a TypeError what is no validator; `rule` says where one is needed."""
    if isinstance(candidate, Validator):
        return
    advice = ""
    if isinstance(candidate, type) and Validator in candidate.__mro__:
        advice = "; its parentheses are missing"
    elif candidate is None:
        advice = "; for None there is v.null()"
    raise TypeError(f"{rule}, not {named(candidate)}{advice}")


def named(candidate: object) -> str:
    """A wrong argument, for a message about it."""
    return f"the class {candidate.__qualname__}" if isinstance(candidate, type) else display_object(candidate)
