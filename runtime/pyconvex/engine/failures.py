"""Errors of user code as clients and logs see them: the message, then the user's own frames, innermost first.

Paths are always relative to the project; frames of pyconvex, of Python and of installed packages are left out.
"""

from __future__ import annotations

import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from pyconvex.engine.driver.guard import is_library
from pyconvex.errors import DeveloperError, Place, PyconvexError, RequestRefused
from pyconvex.store.persistence import StoreFailed
from pyconvex.values.value import ConvexError, Undefined, Value, undefined

if TYPE_CHECKING:
    from pyconvex.loading.registry import Registry

MESSAGE_BYTES_MAX: Final = 65_536
FRAMES_MAX: Final = 50

_PYCONVEX: Final = str(Path(__file__).parent.parent)
_PYTHON: Final = tuple({sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(traceback.__file__).parent)})


class Frame(Struct, frozen=True):
    """One frame of user code; `place.file` is relative to the project."""

    function: str
    place: Place

    def __str__(self) -> str:
        return f"    at {self.function} (../{self.place})\n"


class Failure(Struct, frozen=True):
    """Why a function failed. `data` is what a `ConvexError` carries."""

    message: str
    """`Uncaught ValueError: boom`, without the frames."""
    data: Value | Undefined = undefined
    frames: tuple[Frame, ...] = ()
    hint: str | None = None
    """How to fix it, where pyconvex knows; for developers, never on the wire."""

    @property
    def text(self) -> str:
        """The message and a line for each frame."""
        return "\n".join([self.message, "".join(map(str, self.frames))]) if self.frames else self.message

    def for_client(self, request_id: str, *, redacted: bool) -> str:
        """The `errorMessage` that clients get: as UTF-8 can carry it, at most `MESSAGE_BYTES_MAX` bytes.

        A redacted one says no more than the request id.
        """
        first = f"[Request ID: {request_id}] Server Error"
        return first if redacted else _cut(f"{first}\n{self.text}")


class FunctionFailed(PyconvexError):
    """An HTTP action raised, or returned something that is no Response. `failure` is what to tell the client."""

    def __init__(self, failure: Failure) -> None:
        super().__init__("FunctionFailed", failure.text)
        self.failure = failure


def describe(error: BaseException, registry: Registry) -> Failure:
    """`error` as it left a function of `registry`."""
    root = str(registry.root)
    return Failure(
        message=_cut(_without_paths(_headline(error), root)),
        data=error.data if isinstance(error, ConvexError) else undefined,
        frames=user_frames(error, registry.root),
        hint=error.hint if isinstance(error, PyconvexError) else None,
    )


def user_frames(error: BaseException, root: Path) -> tuple[Frame, ...]:
    """The frames of the project's own files that `error` came through, innermost first, at most 50."""
    frames = [
        Frame(frame.f_code.co_name, Place(shown, line))
        for frame, line in traceback.walk_tb(error.__traceback__)
        if (shown := user_file(frame.f_code.co_filename, str(root))) is not None
    ]
    return tuple(reversed(frames[-FRAMES_MAX:]))


@lru_cache(maxsize=2048)
def user_file(file: str, root: str) -> str | None:
    """`file` relative to the project folder `root`; None for what is not the user's: pyconvex, Python, packages."""
    path = Path(file)
    if not path.is_relative_to(root) or "site-packages" in path.parts or is_library(file):
        return None
    return path.relative_to(root).as_posix()


def _headline(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # user code: a broken __str__ must not hide the error
        message = "(its message could not be read)"
    if (isinstance(error, DeveloperError) and error.bare) or isinstance(error, RequestRefused):
        return message
    if isinstance(error, StoreFailed):
        return f"{error.code}: {message}"
    # Mistakes that Convex reports as plain errors keep that name; a subclass says more with its own.
    name = "Error" if type(error) is DeveloperError else type(error).__name__
    headline = f"Uncaught {name}: {message}" if message else f"Uncaught {name}"
    if isinstance(error, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", error).exceptions
        headline += "".join(f"\n  {_headline(one).removeprefix('Uncaught ')}" for one in inner)
    return headline


def _cut(text: str) -> str:
    """What fits of `text`, without the lone surrogates that an exception may quote."""
    return text.encode("utf-8", "replace")[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore")


def _without_paths(text: str, root: str) -> str:
    """`text` without this machine's folders, which Python puts into some messages."""
    for folder, shown in ((root, ".."), (_PYCONVEX, "pyconvex"), *((folder, "python") for folder in _PYTHON)):
        if len(folder) > 1 and folder in text:
            text = text.replace(folder, shown)
    return text
