"""Which frames of a traceback are the user's, and where exactly they stand."""

import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType

from msgspec import Struct

from pyconvex.errors import Place

_INSTALLED = frozenset(("site-packages", "dist-packages", ".venv", "venv"))


class Project(Struct, frozen=True):
    """What is the user's own code: everything below the project's root but installed packages.

    `root` and `folder` are absolute, and the folder is below the root. `name` is the folder as files in messages begin
    (`convex`, or `backend/convex`), and `package` the name under which its modules may import it.
    """

    root: str
    folder: str

    @property
    def name(self) -> str:
        return self.relative(self.folder)

    @property
    def package(self) -> str:
        return Path(self.folder).name

    def holds(self, file: str) -> bool:
        below = self.root + os.sep
        return file.startswith(below) and _INSTALLED.isdisjoint(Path(file[len(below) :]).parts)

    def relative(self, file: str) -> str:
        """`file` as messages show it: `convex/messages.py`."""
        below = self.root + os.sep
        return file[len(below) :].replace(os.sep, "/") if file.startswith(below) else file

    def place(self, place: Place | None) -> Place | None:
        return place and Place(self.relative(place.file), place.line, place.column)

    def places(self, trace: TracebackType | None, text_of: Callable[[str], str | None]) -> list[Place]:
        """The user's frames of a traceback, outermost first.

        Args:
            text_of: the source of an absolute file name, which turns byte offsets into columns.
        """
        found: list[Place] = []
        while trace is not None:
            code = trace.tb_frame.f_code
            if self.holds(code.co_filename):
                offset = _byte_offset(code, trace.tb_lasti)
                column = _column(text_of(code.co_filename), trace.tb_lineno, offset)
                found.append(Place(self.relative(code.co_filename), trace.tb_lineno, column))
            trace = trace.tb_next
        return found


def _byte_offset(code: CodeType, instruction: int) -> int | None:
    position = next(islice(code.co_positions(), instruction // 2, None), None) if instruction >= 0 else None
    return position[2] if position is not None else None


def _column(text: str | None, line: int, offset: int | None) -> int | None:
    if offset is None or text is None:
        return None
    lines = text.split("\n")
    if line > len(lines):
        return None
    return len(lines[line - 1].encode()[:offset].decode(errors="ignore")) + 1
