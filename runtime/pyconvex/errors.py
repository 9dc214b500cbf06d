"""The error tree: a stable code, a place in the user's code, what happened, and how to fix it.

Three families, by who has to act:

- `DeveloperError`: a function, its arguments or its data are wrong. Deterministic, catchable in user code,
  answered with status 200 and `"status": "error"` on the client API.
- `RequestRefused`: the request itself is wrong or cannot be served now. Answered with an HTTP status and
  `{"code", "message"}`.
- `LoadFailed`: a save cannot be served; it carries every `Problem` found.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Remedy(StrEnum):
    """What has to change before trying again makes sense; `pyconvex dev` waits for exactly that."""

    SAVE_FILE = "save_file"
    SET_VARIABLE = "set_variable"
    CHANGE_DATA = "change_data"
    CHANGE_CALL = "change_call"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Place:
    """A position in source text.

    `file` is absolute where user code was just executed, and relative to the project (`convex/http.py`)
    once the loader has seen it: only relative places are ever shown. Lines and columns count from 1.
    """

    file: str
    line: int
    column: int | None = None

    def __str__(self) -> str:
        column = "" if self.column is None else f":{self.column}"
        return f"{self.file}:{self.line}{column}"

    def relative_to(self, root: Path) -> "Place":
        """The same place with `file` relative to `root`; unchanged when it lies elsewhere."""
        path = Path(self.file)
        if not path.is_absolute() or not path.is_relative_to(root):
            return self
        return replace(self, file=path.relative_to(root).as_posix())


class PyconvexError(Exception):
    """Base of every error that pyconvex raises on purpose."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        remedy: Remedy = Remedy.CHANGE_CALL,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message


class DeveloperError(PyconvexError):
    """A deterministic mistake in a function, its arguments or its data.

    `bare` errors come from the platform rather than from user code (a failed validation, a missing
    function, a time limit): the wire shows their message as it is, without `Uncaught`.
    """

    bare = False


class BareError(DeveloperError):
    bare = True


class RequestRefused(PyconvexError):
    """A request that cannot be served; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.status = status


class StartFailed(PyconvexError):
    """The deployment cannot start on this machine: a port, the disk, or the lock is taken (exit code 3)."""


class UnfitDocument(NamedTuple):
    """A stored document that a schema does not allow: where in it (`""` for the whole), and why, in Convex's words."""

    id: str
    table: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a save cannot be served, or (as a warning) should not be."""

    code: str
    message: str
    place: Place | None = None
    hint: str | None = None
    also: tuple[Place, ...] = ()
    remedy: Remedy = Remedy.SAVE_FILE
    trace: str | None = None
    """The whole Python traceback, for `--verbose`."""
    documents: tuple[UnfitDocument, ...] = ()
    """Some of the documents that have to change, for `Remedy.CHANGE_DATA`."""


class LoadFailed(PyconvexError):
    """A version of the user's folder that cannot be served, with all its problems.

    `generated` are the texts of `_generated/` that come from its schema, by file name; none when that has problems.
    """

    def __init__(self, problems: Sequence[Problem], generated: Mapping[str, str] = MappingProxyType({})) -> None:
        first = problems[0]
        super().__init__(first.code, first.message, hint=first.hint, place=first.place, remedy=first.remedy)
        self.problems = tuple(problems)
        self.generated = generated


def caller_place(depth: int = 1) -> Place:
    """Where the caller's caller stands (absolute file, line), `depth` frames above this function's caller."""
    frame = inspect.currentframe()
    for _ in range(depth + 1):
        assert frame is not None, "the stack is deeper than the caller asks for"
        frame = frame.f_back
    assert frame is not None, "a function has a caller"
    return Place(frame.f_code.co_filename, frame.f_lineno)
