"""The live log of `pyconvex dev`: rows in small batches, the newest first to suffer when there are too many."""

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context

from pyconvex.engine.logs.logs import Completion, LogEntry
from pyconvex_cli.log_rows import Gatherer, Layout, request_lines
from pyconvex_cli.wording import counted

FLUSH_SECONDS = 0.03
FLOOD_SECONDS = 0.25
"""Between two flushes while there is more than is shown."""
SHOWN_AT_ONCE = 40
SHOWN_PER_SECOND = 100
"""Requests; nobody reads faster, and a row costs a tenth of the request that it tells of."""
HELD_MAX = 1000


class LogView:
    """Takes entries as they are published and writes them as rows a moment later.

    While it is on hold (a reload prints) or paused (the user reads), the newest `HELD_MAX` requests are kept.
    """

    def __init__(
        self, write: Callable[[Iterable[str]], None], layout: Callable[[], Layout], *, everything: bool = False
    ) -> None:
        self.paused = False
        self._layout = layout
        self._write = write
        self._everything = everything
        self._gatherer = Gatherer()
        self._arrived: list[LogEntry] = []
        self._ready: deque[list[LogEntry]] = deque(maxlen=HELD_MAX)
        self._dropped = 0
        self._room = float(SHOWN_AT_ONCE)
        self._room_at = time.monotonic()
        self._is_flood = False
        self._timer: asyncio.TimerHandle | None = None
        self._on_hold = False
        self._has_header = False
        # entries come while a function runs; what is printed here must not become its log lines
        self._context = copy_context()

    def receive(self, entry: LogEntry) -> None:
        """Called while a request is answered, so it only notes the entry."""
        self._arrived.append(entry)
        if self._timer is None:
            self._flush_in(FLOOD_SECONDS if self._is_flood else FLUSH_SECONDS)

    def hold(self) -> None:
        """Write nothing until `release`."""
        self._on_hold = True

    def release(self) -> None:
        self._on_hold = False
        self._flush()

    def toggle_pause(self) -> bool:
        """Pauses or goes on; whether it is paused now."""
        self.paused = not self.paused
        if not self.paused:
            self._flush()
        return self.paused

    def header_again(self) -> None:
        """Other output came between: the next row is preceded by the header once more."""
        self._has_header = False

    def close(self) -> None:
        """Writes what is left."""
        self.paused = self._on_hold = False
        if self._timer is not None:
            self._timer.cancel()
        self._gather(time.monotonic())
        for request in self._gatherer.overdue(math.inf):
            self._keep(request)
        self._write_ready()

    def _flush_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._flush, context=self._context)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._gather(time.monotonic())
        if not (self.paused or self._on_hold):
            self._write_ready()
        if self._gatherer.holds:
            self._flush_in(Gatherer.HOLD_SECONDS / 4)

    def _gather(self, now: float) -> None:
        arrived, self._arrived = self._arrived, []
        for entry in arrived:
            if request := self._gatherer.add(entry, now):
                self._keep(request)
        for request in self._gatherer.overdue(now):
            self._keep(request)

    def _keep(self, request: list[LogEntry]) -> None:
        self._dropped += len(self._ready) == HELD_MAX
        self._ready.append(request)

    def _write_ready(self) -> None:
        if not self._ready:
            return
        requests = list(self._ready)
        self._ready.clear()
        layout = self._layout()
        lines = [] if self._has_header else [layout.header()]
        self._has_header = True
        if self._dropped:
            lines.append(layout.paint("muted", f"… {counted(self._dropped, 'request')} not shown"))
            self._dropped = 0
        room = len(requests) if self._everything else self._taken_room(len(requests))
        for request in requests[:room]:
            lines += request_lines(request, layout)
        lines += _summary(requests[room:], layout)
        self._is_flood = room < len(requests)
        self._write(lines)

    def _taken_room(self, wanted: int) -> int:
        """For how many of `wanted` requests there is room now; it grows again with time."""
        now = time.monotonic()
        room = min(self._room + (now - self._room_at) * SHOWN_PER_SECOND, SHOWN_AT_ONCE)
        taken = min(wanted, int(room))
        self._room, self._room_at = room - taken, now
        return taken


def _summary(requests: list[list[LogEntry]], layout: Layout) -> Iterator[str]:
    """One line for requests that came too fast to be read; those that failed are still shown, a few of them."""
    if not requests:
        return
    failed = [each for each in requests if any(isinstance(one, Completion) and one.error for one in each)]
    for request in failed[:3]:
        yield from request_lines(request, layout)
    names = Counter(each[-1].identifier for each in requests)
    most = ", ".join(f"{count:,} × {name}" for name, count in names.most_common(3))
    yield layout.paint("muted", f"… {counted(len(requests), 'more request')}: {most}")
