"""The log lines of one execution: collected for its entry, or sent while it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from pyconvex.engine.logs.logs import Level, LogLine, SystemMetadata
from pyconvex.values.display import display

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyconvex.clock import Clock
    from pyconvex.settings import Limits

OVERFLOW: Final = "Log overflow (maximum {limit}). Remaining log lines omitted."


class Lines:
    """The lines of a query or mutation, with those of the functions it calls. Limits: `log_lines`, `log_line_bytes`."""

    __slots__ = ("_clock", "_count", "_limits", "_unfinished", "all")

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self.all: list[LogLine] = []
        self._clock = clock
        self._limits = limits
        self._count = 0
        self._unfinished: tuple[Level, str, str | None] | None = None

    def add(self, level: Level, messages: list[str], *, plain: str | None = None, path: str | None = None) -> None:
        """A line of user code; `plain` is its text for a terminal, `path` the nested function that wrote it."""
        self._count += 1
        if self._count > self._limits.log_lines:
            return
        if self._count == self._limits.log_lines:
            level, plain, messages = Level.ERROR, None, [OVERFLOW.format(limit=self._limits.log_lines)]
        messages, truncated = _within([_writable(each) for each in messages], self._limits.log_line_bytes)
        self._append(
            LogLine(
                messages=messages,
                level=level,
                timestamp=self._clock.now_ms(),
                is_truncated=truncated,
                udf_path=UNSET if path is None else path,
                plain=UNSET if plain is None or truncated else _writable(plain),
            )
        )

    def add_system(self, level: Level, text: str, code: str) -> None:
        """A line of pyconvex's own, such as a warning near a limit; always kept."""
        self._append(LogLine([text], level, self._clock.now_ms(), system_metadata=SystemMetadata(code)))

    def write(self, level: Level, text: str, *, path: str | None = None) -> None:
        """Text for a stream: each line that it ends is added, the rest waits for its end."""
        if self._unfinished is not None and self._unfinished[0] is not level:
            self._end_line()
        begun = self._unfinished[1] if self._unfinished else ""
        *ended, rest = (begun + text).split("\n")
        self._unfinished = (level, rest, path) if rest else None
        for line in ended:
            self.add(level, [display(line)], plain=line, path=path)

    def flush(self) -> None:
        """Ends an unfinished line, and sends what goes out while the function runs."""
        self._end_line()

    def texts(self) -> list[str]:
        """The lines as clients get them."""
        return [line.text() for line in self.all] if self.all else []

    def _end_line(self) -> None:
        if self._unfinished is not None:
            level, text, path = self._unfinished
            self._unfinished = None
            self.add(level, [display(text)], plain=text, path=path)

    def _append(self, line: LogLine) -> None:
        self.all.append(line)


class StreamedLines(Lines):
    """The lines of an action: those of one turn of the event loop go out together, as one Progress entry."""

    __slots__ = ("_scheduled", "_send", "_sent")

    def __init__(self, clock: Clock, limits: Limits, send: Callable[[list[LogLine]], None]) -> None:
        super().__init__(clock, limits)
        self._send = send
        self._sent = 0
        self._scheduled: asyncio.Handle | None = None

    def flush(self) -> None:
        super().flush()
        self._send_fresh()

    def _send_fresh(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        if fresh := self.all[self._sent :]:
            self._sent = len(self.all)
            self._send(fresh)

    def _append(self, line: LogLine) -> None:
        super()._append(line)
        if self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._send_fresh)


def _writable(text: str) -> str:
    """`text` as UTF-8 can carry it: a function may print half of a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _within(messages: list[str], bytes_max: int) -> tuple[list[str], bool]:
    """The messages cut, at a character boundary, where together they pass `bytes_max` bytes of UTF-8."""
    if sum(map(len, messages)) * 4 <= bytes_max:
        return messages, False
    kept: list[str] = []
    left = bytes_max
    for message in messages:
        encoded = message.encode("utf-8", "surrogatepass")
        if len(encoded) > left:
            return [*kept, encoded[:left].decode("utf-8", "ignore")], True
        kept.append(message)
        left -= len(encoded)
    return kept, False
