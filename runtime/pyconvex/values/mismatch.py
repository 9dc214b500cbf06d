"""What a validator says about a value that it refuses, in Convex's words."""

from collections.abc import Callable

from pyconvex.errors import DeveloperError

from .display import display_in_error, display_path
from .kinds import Value


class ValidationFailed(DeveloperError):
    """A value that does not match its validator.

    `reason` is Convex's text of several lines, without the prefix that says where the value came from
    (`ArgumentValidationError: `, …). `path` leads to the part that does not match, `""` for the value itself.
    """

    def __init__(self, reason: str, path: str) -> None:
        super().__init__("ValidationFailed", reason)
        self.reason = reason
        self.path = path


class Mismatch(Exception):
    """A refused value, before its path is known. The text is made only when somebody reads it: unions try and go on."""

    def __init__(self, describe: Callable[[str], str]) -> None:
        super().__init__()
        self._describe = describe
        self._steps: list[str] = []

    def inside(self, step: str) -> "Mismatch":
        """The same, `step` further out: `.field`, `[0]`, `.keys()` or `.values()`."""
        self._steps.append(step)
        return self

    def failure(self) -> ValidationFailed:
        path = "".join(reversed(self._steps))
        return ValidationFailed(self._describe(f"Path: {path}" if path else ""), path)


def field_step(name: str) -> str:
    return display_path((name,))


def no_match(value: Value, validator: str, *, hint: str | None = None) -> Mismatch:
    advice = f"\nHint: {hint}" if hint else ""
    return Mismatch(
        lambda where: (
            f"Value does not match validator.\n{where}\n"
            f"Value: {display_in_error(value)}\nValidator: {validator}{advice}"
        )
    )


def missing_field(name: str, fields: dict[str, Value], validator: str) -> Mismatch:
    return Mismatch(
        lambda where: (
            f"Object is missing the required field `{name}`. "
            f"Consider wrapping the field validator in `v.optional(...)` if this is expected.\n{where}\n"
            f"Object: {display_in_error(fields)}\nValidator: {validator}"
        )
    )


def extra_field(name: str, fields: dict[str, Value], validator: str) -> Mismatch:
    return Mismatch(
        lambda where: (
            f"Object contains extra field `{name}` that is not in the validator.\n{where}\n"
            f"Object: {display_in_error(fields)}\nValidator: {validator}"
        )
    )


def reserved_key(name: str, record: dict[str, Value], validator: str) -> Mismatch:
    return Mismatch(
        lambda where: (
            f"Records cannot have keys that start with an underscore, like `{name}`.\n{where}\n"
            f"Object: {display_in_error(record)}\nValidator: {validator}"
        )
    )


# Convex puts the path of these two right behind the sentence.


def other_literal(value: Value, validator: str) -> Mismatch:
    return Mismatch(lambda where: f"`{display_in_error(value)}` does not match literal validator `{validator}`.{where}")


def other_table(id: str, table: str, validator: str) -> Mismatch:
    kind = "system table" if table.startswith("_") else "table"
    return Mismatch(
        lambda where: (
            f'Found ID "{id}" from {kind} `{table}`, '
            f"which does not match the table name in validator `{validator}`.{where}"
        )
    )
