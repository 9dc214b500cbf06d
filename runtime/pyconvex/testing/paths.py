"""Finding things for tests: the functions folder, and the path of a function that a test names."""

import inspect
from pathlib import Path
from typing import Any

from pyconvex.errors import PyconvexError
from pyconvex.functions.function import RegisteredFunction
from pyconvex.functions.references import FunctionReference, function_path
from pyconvex.loading.registry import Registry


def folder_of(folder: Path) -> Path:
    """The functions folder: relative to the working directory, else beside the calling file or above it.

    Raises `PyconvexError` `NoFunctionsFolder` when there is none.
    """
    starts = [Path.cwd(), *_above_the_caller()]
    for start in starts:
        if (start / folder).is_dir():
            return (start / folder).resolve()
    raise PyconvexError(
        "NoFunctionsFolder",
        f"there is no folder {folder} in {Path.cwd()}",
        hint="give ConvexTest the path of your functions folder",
    )


def path_of(fn: str | FunctionReference[..., Any] | RegisteredFunction[..., Any], registry: Registry) -> str:
    """The path of `fn` in the loaded version: `messages:send`."""
    named = function_path(fn)
    if isinstance(named, str):
        return named
    known = registry.handlers.get(id(named))
    return known if known is not None else _path_by_source(named, registry)


def _path_by_source(fn: RegisteredFunction[..., Any], registry: Registry) -> str:
    """For a function that the test imported itself: that is another module object of the same file."""
    file = Path(fn.handler.__code__.co_filename).resolve()
    folder = (registry.root / registry.folder).resolve()
    if not file.is_relative_to(folder):
        raise PyconvexError("UnknownFunction", f"`{fn.name}` is not defined in {folder.name}/")
    return f"{file.relative_to(folder).with_suffix('').as_posix()}:{fn.name}"


def _above_the_caller() -> list[Path]:
    here = str(Path(__file__).parent)
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(here):
        frame = frame.f_back
    return [] if frame is None else list(Path(frame.f_code.co_filename).resolve().parents)
