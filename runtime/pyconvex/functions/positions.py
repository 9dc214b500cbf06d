"""Where in the source a handler or one of its parameters stands, as far as the source can be had.

A function only knows the line of its first decorator. The rest is looked up in the text that the loader
executed, which may be newer or older than what `linecache` or the disk hold.
"""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyconvex.errors import Place


def definition_place(handler: Callable[..., Any]) -> Place:
    """The line of the handler's `def`; of its first decorator when the source is not to be had."""
    code = inspect.unwrap(handler).__code__
    source = _source(handler)
    first = code.co_firstlineno
    at = source.find(f"def {code.co_name}(")
    while at >= 0:
        line = source.count("\n", 0, at) + 1
        if line >= first:
            return Place(code.co_filename, line)
        at = source.find(f"def {code.co_name}(", at + 1)
    return Place(code.co_filename, first)


def parameter_place(handler: Callable[..., Any], parameter: str | None) -> Place:
    """The place of a parameter's name, or with None of the return annotation."""
    place = definition_place(handler)
    node = _definition(_source(handler), inspect.unwrap(handler).__name__, place.line)
    if node is None:
        return place
    if parameter is None:
        return place if node.returns is None else _place(place.file, node.returns)
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    for argument in named:
        if argument is not None and argument.arg == parameter:
            return _place(place.file, argument)
    return place


def _source(handler: Callable[..., Any]) -> str:
    function = inspect.unwrap(handler)
    module = function.__globals__
    loader: Any = module.get("__loader__")
    try:
        if hasattr(loader, "get_source"):
            return loader.get_source(module["__name__"]) or ""
        return Path(function.__code__.co_filename).read_text("utf-8")
    except (OSError, ImportError, SyntaxError, UnicodeDecodeError, KeyError):
        return ""


def _definition(source: str, name: str, line: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.name, node.lineno) == (name, line):
            return node
    return None


def _place(file: str, node: ast.arg | ast.expr) -> Place:
    return Place(file, node.lineno, node.col_offset + 1)
