"""The other bad routes of a module that the first one has ended, so that a save tells of all of them."""

import __future__

import ast
from collections.abc import Iterator
from types import CodeType
from typing import Any, Final

from pyconvex.functions.route import RouteError
from pyconvex.loading.source import Source, parsed

FURTHER_MAX: Final = 9
"""Ten problems of one kind are enough for one save."""


def further_errors(source: Source, namespace: dict[str, Any], error: BaseException) -> Iterator[RouteError]:
    """Go on below the statement that raised `error`, as long as nothing but routes are wrong there.

    Args:
        namespace: that of the module, as far as it came.
    """
    line = _line_of(source, error)
    if line is None or not isinstance(error, RouteError):
        return
    found = 0
    for statement in _statements_below(source, line):
        try:
            exec(statement, namespace)
        except RouteError as another:
            yield another
            found += 1
        except Exception:
            return  # most likely for want of what the first error has kept from being there
        if found == FURTHER_MAX:
            return


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
