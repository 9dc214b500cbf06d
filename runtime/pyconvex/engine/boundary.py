"""What crosses the boundary of a function: its arguments on the way in, its result on the way out.

https://docs.convex.dev/functions/validation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pyconvex.engine.database.query import OrderedQuery
from pyconvex.engine.logs.logs import Level
from pyconvex.errors import BareError, DeveloperError
from pyconvex.functions.function import Function, Kind, Visibility
from pyconvex.values.display import display_in_error
from pyconvex.values.size import size_of
from pyconvex.values.validators import ValidationFailed
from pyconvex.values.value import InvalidValue, Value, convert

if TYPE_CHECKING:
    from pyconvex.engine.execution import Execution
    from pyconvex.values.validators import TableNames

_WARN_FROM = 0.8
_NONE = type(None)


def check_callable(function: Function, kind: Kind | None, internal: bool) -> bool:
    """Whether a client may call `function` at all; `internal` is what an admin may.

    Raises `BareError` `WrongKind` when it may, but not as a `kind`.
    """
    if function.kind is Kind.HTTP_ACTION or not (internal or function.visibility is Visibility.PUBLIC):
        return False
    check_kind(function, kind)
    return True


def check_kind(function: Function, kind: Kind | None) -> None:
    """Raises `BareError` `WrongKind` when `function` is called as something else than it is."""
    if kind is not None and function.kind is not kind:
        raise BareError(
            "WrongKind",
            f"Trying to execute {module_path(function.path)} as {kind.udf_type}, "
            f"but it is defined as {function.kind.udf_type}.",
        )


def accept_arguments(execution: Execution, function: Function, given: object, tables: TableNames) -> dict[str, Value]:
    """The arguments as the handler gets them, fresh and validated. `given` is an args object, or a list of at most one.

    Raises `BareError`: `InvalidArguments`, `ArgumentsTooLarge`, `ArgumentValidationError`.
    """
    arguments = _args_object(function, given)
    _check_args_size(execution, function, arguments)
    if function.args is None:
        return arguments
    try:
        accepted = function.args.validate(arguments, tables)
    except ValidationFailed as error:
        raise BareError(
            "ArgumentValidationError", f"ArgumentValidationError: {error.reason}", hint=error.hint
        ) from None
    assert isinstance(accepted, dict), "the validator of arguments gives an object"
    return accepted


def refuse_positional(positional: Sequence[object]) -> None:
    """Raises `DeveloperError` `PositionalArguments` unless there are none."""
    if positional:
        raise DeveloperError(
            "PositionalArguments",
            f"Functions take their arguments by name, but {display_in_error(positional[0])} was given without one.",
            hint="Write `ctx.run_mutation(api.messages.send, body=...)`.",
        )


def accept_result(execution: Execution, function: Function, returned: object, tables: TableNames) -> Value:
    """What the handler returned, as a fresh value, validated where the function promises something.

    Raises `BareError`: `QueryNotExecuted`, `ReturnsValidationError`, `ResultTooLarge`. Raises `InvalidValue` for what
    is no value.
    """
    if returned is None and (function.returns is None or _NONE in function.returns.plain):
        execution.result_bytes = 1
        return None
    if isinstance(returned, OrderedQuery):
        raise BareError(
            "QueryNotExecuted",
            "Return value is a Query. "
            "Results must be retrieved with `.collect()`, `.take(n), `.unique()`, or `.first()`.",
        )
    result = convert(returned)
    if function.returns is not None:
        try:
            result = function.returns.validate(result, tables)
        except ValidationFailed as error:
            raise BareError(
                "ReturnsValidationError", f"ReturnsValidationError: {error.reason}", hint=error.hint
            ) from None
    _check_result_size(execution, function, result)
    return result


def module_path(path: str) -> str:
    """`messages:send` as Convex's messages and specs spell it: `messages.js:send`."""
    module, _, name = path.partition(":")
    return f"{module}.js:{name or 'default'}"


def shown_path(path: str) -> str:
    """`messages:default` as people write it: `messages`."""
    return path.removesuffix(":default")


def _args_object(function: Function, given: object) -> dict[str, Value]:
    if isinstance(given, list | tuple):
        positional = cast("Sequence[object]", given)
        if len(positional) > 1:
            raise _not_an_object(function, f"a function takes one object of arguments, not {len(positional)} values")
        given = positional[0] if positional else {}
    if given is None:
        given = {}
    if type(given) is not dict and not isinstance(given, Mapping):
        raise _not_an_object(function, f"the arguments must be an object, not {type(given).__name__}")
    try:
        return convert(given)  # type: ignore[return-value]  # a mapping converts to a dict
    except InvalidValue as error:
        raise _not_an_object(function, error.message, hint=error.hint) from None


def _not_an_object(function: Function, why: str, *, hint: str | None = None) -> BareError:
    return BareError("InvalidArguments", f"Invalid arguments for {module_path(function.path)}: {why}", hint=hint)


def _check_args_size(execution: Execution, function: Function, arguments: dict[str, Value]) -> None:
    limit = execution.services.limits.args_bytes
    size = size_of(arguments) if arguments else 0
    if size > limit:
        raise BareError(
            "ArgumentsTooLarge",
            f"Arguments for {module_path(function.path)} are too large "
            f"(actual: {mebibytes(size)}, limit: {mebibytes(limit)})",
        )
    _warn_near(execution, "arguments", "Arguments", size, limit)


def _check_result_size(execution: Execution, function: Function, result: Value) -> None:
    limit = execution.services.limits.result_bytes
    execution.result_bytes = size = size_of(result)
    if size > limit:
        raise BareError(
            "ResultTooLarge",
            f"Function {module_path(function.path)} return value is too large "
            f"(actual: {mebibytes(size)}, limit: {mebibytes(limit)})",
        )
    _warn_near(execution, "return value", "ReturnValue", size, limit)


def _warn_near(execution: Execution, words: str, code: str, size: int, limit: int) -> None:
    if size > limit * _WARN_FROM:
        what = "function" if execution.is_transaction else "action"
        execution.lines.add_system(
            Level.WARN,
            f"Large size of the {what} {words} (actual: {size} bytes, limit: {limit} bytes).",
            f"warning:Large{what.capitalize()}{code}",
        )


def mebibytes(size: int) -> str:
    """`16 MiB`, `16.21 MiB`."""
    return f"{size / 2**20:.2f}".rstrip("0").rstrip(".") + " MiB"
