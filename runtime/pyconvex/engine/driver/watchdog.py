"""Notices a blocked event loop and names the user's line that blocks it.

Actions and HTTP actions run on the server's own event loop, so `time.sleep(1)` or `requests.get(...)` in one
stops everybody. The loop leaves a heartbeat; a thread that misses it looks at the loop's stack.
"""

import ast
import asyncio
import linecache
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Self

from msgspec import Struct

from pyconvex.engine.driver import debugger, guard
from pyconvex.errors import Place

BLOCKED_SECONDS = 0.1
PERIOD_SECONDS = 0.05


class Blocked(Struct, frozen=True):
    """A line of the user's that keeps the event loop from running."""

    place: Place
    """Relative to the project."""
    seconds: float
    """How long so far."""
    function: str | None
    """What the line calls, `time.sleep`; None where it computes by itself."""


class Watchdog:
    """`report` gets each place once, on the watchdog's own thread and while the loop is still blocked.

    Only lines below `project_root` are reported, and none while a debugger is attached.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[Blocked], None], project_root: Path) -> None:
        self._loop = loop
        self._report = report
        self._root = project_root
        self._folder = f"{project_root}{os.sep}"
        self._loop_thread = 0
        self._beat_at = perf_counter()
        self._timer: asyncio.TimerHandle | None = None
        self._seen: set[Place] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pyconvex-watchdog", daemon=True)

    def start(self) -> None:
        """Call once, on the loop's thread."""
        self._loop_thread = threading.get_ident()
        self._beat()
        self._thread.start()

    def stop(self) -> None:
        """Call on the loop's thread; nothing is reported afterwards."""
        self._stopping.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _beat(self) -> None:
        self._beat_at = perf_counter()
        self._timer = self._loop.call_later(PERIOD_SECONDS, self._beat)

    def _watch(self) -> None:
        beat_at, misses, looking = self._beat_at, 0, True
        while not self._stopping.wait(PERIOD_SECONDS):
            if self._beat_at != beat_at:
                beat_at, misses, looking = self._beat_at, 0, True
                continue
            # Counted in wake-ups of this thread too, so that a machine that slept is not the user's fault.
            misses += 1
            seconds = perf_counter() - beat_at - PERIOD_SECONDS
            if looking and misses * PERIOD_SECONDS > BLOCKED_SECONDS and seconds > BLOCKED_SECONDS:
                looking = not self._look(seconds)

    def _look(self, seconds: float) -> bool:
        """Report who blocks; whether that settles it for as long as the loop stays blocked."""
        stack = list(debugger.stack(sys._current_frames().get(self._loop_thread)))  # pyright: ignore[reportPrivateUsage]  # documented
        mine = next((frame for frame in stack if self._is_users(frame)), None)
        if mine is None:
            return False
        if debugger.attached(stack[0]):
            return True
        place = Place(mine.f_code.co_filename, mine.f_lineno).relative_to(self._root)
        if place not in self._seen:
            self._seen.add(place)
            self._report(Blocked(place, seconds, _called_by(mine)))
        return True

    def _is_users(self, frame: FrameType) -> bool:
        filename = frame.f_code.co_filename
        return filename.startswith(self._folder) and not guard.is_library(filename)


def _called_by(frame: FrameType) -> str | None:
    """The name of what `frame` is calling right now, from the source of its current instruction."""
    positions = list(frame.f_code.co_positions())
    line, last_line, start, stop = positions[frame.f_lasti // 2]
    if line is None or last_line is None or start is None or stop is None:
        return None
    lines = [text.encode() for text in _lines(frame)[line - 1 : last_line]]
    if not lines:
        return None
    lines[-1] = lines[-1][:stop]  # columns count UTF-8 bytes; the end first, for it may be the same line
    lines[0] = lines[0][start:]
    with suppress(SyntaxError, ValueError):
        match ast.parse(b"".join(lines), mode="eval").body:
            case ast.Call(func=called) | ast.Await(value=ast.Call(func=called)):
                return ast.unparse(called)
            case _:
                pass
    return None


def _lines(frame: FrameType) -> list[str]:
    """The text that runs: the loader's own, for the file may have been saved since."""
    loader = frame.f_globals.get("__loader__")
    with suppress(Exception):
        source = loader.get_source(frame.f_globals["__name__"])  # pyright: ignore  # may be any object, or none
        return str(source).splitlines(keepends=True)
    return linecache.getlines(frame.f_code.co_filename)
