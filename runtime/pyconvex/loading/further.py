"""The other bad routes of a module that the first one has ended, so that a save tells of all of them."""

import __future__

import ast
from collections.abc import Iterator
from itertools import islice
from types import CodeType
from typing import Any, Final

from pyconvex.functions.routing.error import RouteError
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.loading.source import Source, parsed

FURTHER_MAX: Final = 9
"""Ten problems of one kind are enough for one save."""

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def further_errors(source: Source, namespace: dict[str, Any], error: BaseException) -> Iterator[RouteError]:
    """Go on below the statement that raised `error`, as long as nothing but routes are wrong there.

    Args:
        namespace: that of the module, as far as it came.
    """
    line = _line_of(source, error)
    if line is None or not isinstance(error, RouteError):
        return
    yield from islice(_below(source, namespace, line), FURTHER_MAX)


def routes_without_handler(router: HttpRouter) -> Iterator[RouteError]:
    """Calls of `route()` that got no handler and decorated nothing."""
    for place in router.pending:
        error = RouteError(
            "RouteWithoutHandler",
            "this `route()` has no handler and decorates no function",
            hint="pass `handler=`, or write it as `@http.route(...)` above an `async def`",
        )
        error.place = place
        yield error


def _below(source: Source, namespace: dict[str, Any], line: int) -> Iterator[RouteError]:
    for statement in _statements_below(source, line):
        try:
            exec(statement, namespace)
        except RouteError as another:
            yield another
        except Exception:
            break  # most likely for want of what the first error has kept from being there
    routers = [value for value in namespace.values() if issubclass(type(value), HttpRouter)]
    decorating = _decorator_lines(source)  # where something else has gone wrong
    for router in {id(each): each for each in routers}.values():
        for error in routes_without_handler(router):
            if error.place is not None and error.place.file == source.path and error.place.line not in decorating:
                yield error


def _decorator_lines(source: Source) -> set[int]:
    functions = [node for node in ast.walk(parsed(source.text, source.path)) if isinstance(node, _FUNCTIONS)]
    decorators = [decorator for function in functions for decorator in function.decorator_list]
    return {line for each in decorators for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)}


def _line_of(source: Source, error: BaseException) -> int | None:
    """Where the top level of the module was."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code is not source.code:
        step = step.tb_next
    return None if step is None else step.tb_lineno


def _statements_below(source: Source, line: int) -> Iterator[CodeType]:
    assert source.code is not None, "it was run"
    features = [getattr(__future__, name).compiler_flag for name in __future__.all_feature_names]
    flags = sum(flag for flag in set(features) if source.code.co_flags & flag)
    for statement in parsed(source.text, source.path).body:
        if _first_line(statement) > line:
            yield compile(ast.Module([statement], []), source.path, "exec", flags, dont_inherit=True)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *[each.lineno for each in decorators]])
