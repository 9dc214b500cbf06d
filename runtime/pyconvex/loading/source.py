"""A user's source file as it was read and compiled: text, code, and what its top level binds."""

import ast
import hashlib
import io
import tokenize
import warnings
from collections.abc import Mapping
from types import CodeType, MappingProxyType
from typing import NamedTuple

from msgspec import Struct

from pyconvex.errors import Place, Problem
from pyconvex.loading.syntax import syntax_problem

LIMIT_NAME = "__pyconvex_limit__"
"""In the builtins of user modules: the exceptions that no handler of theirs may swallow."""


class Spot(NamedTuple):
    """A line and a column, both counted from 1, of a file that is known from the context."""

    line: int
    column: int


class Source(Struct, frozen=True):
    """One version of one file. `code` is None when `problem` says why it does not compile.

    `assigned` has the last place where the top level binds each name other than by importing it; `imported` the
    places of those that it imports; `starred` the line of an `import *`.
    """

    path: str
    file: str
    sha256: str
    text: str
    code: CodeType | None
    problem: Problem | None
    warnings: tuple[Problem, ...]
    assigned: Mapping[str, Spot]
    imported: Mapping[str, Spot]
    starred: bool


def compile_source(data: bytes, path: str, file: str, sha256: str | None = None) -> Source:
    """Read, parse and compile a file.

    Args:
        path: absolute, as tracebacks name it.
        file: relative to the project, as messages name it.
    """
    sha256 = sha256 or hashlib.sha256(data).hexdigest()
    try:
        text = _decode(data)
    except (SyntaxError, UnicodeDecodeError) as error:
        return _broken(path, file, sha256, data.decode("utf-8", "replace"), syntax_problem(error, file, None))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SyntaxWarning)
            warnings.simplefilter("always", DeprecationWarning)  # what 3.11 calls an invalid escape sequence
            tree = parsed(text, path)
            assigned, imported, starred = _bindings(tree)
            code = compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return _broken(path, file, sha256, text, syntax_problem(error, file, text))
    except RecursionError:
        problem = Problem("SyntaxError", "this file nests expressions too deeply", place=Place(file, 1))
        return _broken(path, file, sha256, text, problem)
    found = _warnings(caught, path, file)
    return Source(path, file, sha256, text, code, None, found, assigned, imported, starred)


def parsed(text: str, path: str) -> ast.Module:
    """The syntax tree of a module, in which no handler keeps a time limit from coming through.

    Raises:
        SyntaxError, ValueError, RecursionError: as Python raises them.
    """
    try:
        tree = ast.parse(text, path)
    except SystemError:
        # A finalizer that formats a traceback in the middle of it spoils the parser's count of its depth (before 3.13).
        tree = ast.parse(text, path)
    return _let_limits_through(tree)


def compile_plain(data: bytes, path: str) -> CodeType:
    """Compile a module beside the functions folder, whose handlers let time limits through as well.

    Raises:
        SyntaxError, UnicodeDecodeError, ValueError: as Python raises them.
    """
    return compile(parsed(_decode(data), path), path, "exec", dont_inherit=True)


def compile_generated(text: str, path: str, file: str) -> Source:
    """Compile a text of ours, which has no bare `except` and binds nothing of interest."""
    nothing: Mapping[str, Spot] = MappingProxyType({})
    code = compile(text, path, "exec", dont_inherit=True)
    return Source(path, file, hashlib.sha256(text.encode()).hexdigest(), text, code, None, (), nothing, nothing, False)


def _decode(data: bytes) -> str:
    """The text with its declared encoding, universal newlines and without a byte order mark."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return io.IncrementalNewlineDecoder(None, translate=True).decode(data.decode(encoding))


def _broken(path: str, file: str, sha256: str, text: str, problem: Problem) -> Source:
    nothing: Mapping[str, Spot] = MappingProxyType({})
    return Source(path, file, sha256, text, None, problem, (), nothing, nothing, False)


def _warnings(caught: list[warnings.WarningMessage], path: str, file: str) -> tuple[Problem, ...]:
    """The compiler's warnings about this file; what other threads warned of meanwhile goes where it was going."""
    found: list[Problem] = []
    for warning in caught:
        if warning.filename == path and issubclass(warning.category, SyntaxWarning | DeprecationWarning):
            found.append(Problem("SyntaxWarning", str(warning.message), place=Place(file, warning.lineno)))
        else:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    return tuple(found)


def _bindings(tree: ast.Module) -> tuple[dict[str, Spot], dict[str, Spot], bool]:
    assigned: dict[str, Spot] = {}
    imported: dict[str, Spot] = {}
    starred = False
    waiting: list[ast.stmt] = list(reversed(tree.body))
    while waiting:
        statement = waiting.pop()
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                assigned[name] = _spot(statement)
                imported.pop(name, None)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                starred = starred or aliases[0].name == "*"
                imported |= {(alias.asname or alias.name.partition(".")[0]): _spot(alias) for alias in aliases}
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                for name in _assigned_names(statement):
                    assigned[name] = _spot(statement)
                    imported.pop(name, None)
            case _:
                waiting.extend(reversed(_nested(statement)))
    return assigned, imported, starred


def _assigned_names(statement: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _nested(statement: ast.stmt) -> list[ast.stmt]:
    """Statements inside `if`, `try`, `with` and loops of the top level, which bind its names too."""
    inside: list[ast.stmt] = []
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            inside.append(child)
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            inside.extend(child.body)
    return inside


def _spot(node: ast.stmt | ast.alias) -> Spot:
    return Spot(node.lineno, node.col_offset + 1)


def _let_limits_through(tree: ast.Module) -> ast.Module:
    """Insert `except __pyconvex_limit__: raise` before every handler that would catch a time limit.

    A time limit is a BaseException raised inside user code; `except:` and `except BaseException:` are the only
    handlers that could keep a function running beyond it. Line numbers stay as they are.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            assert isinstance(node, ast.Try | ast.TryStar), "the name says so"
            node.handlers = [new for handler in node.handlers for new in _guarded(handler)]
    return tree


def _guarded(handler: ast.ExceptHandler) -> list[ast.ExceptHandler]:
    if not _catches_everything(handler.type):
        return [handler]
    limit = ast.ExceptHandler(type=ast.Name(LIMIT_NAME, ast.Load()), name=None, body=[ast.Raise()])
    for node in ast.walk(limit):
        ast.copy_location(node, handler)
    return [limit, handler]


def _catches_everything(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("BaseException", "BaseExceptionGroup")
        case ast.Tuple(elts=members):
            return any(_catches_everything(member) for member in members)
        case _:
            return False
