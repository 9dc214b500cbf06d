"""What `pyconvex start` reports: one JSON object per event, each with `type` and `ts` (seconds since 1970)."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import asdict

from pyconvex import __version__
from pyconvex.engine.execution import current
from pyconvex.errors import LoadFailed, Problem, PyconvexError
from pyconvex_cli.json_lines import JsonLines
from pyconvex_cli.json_screen import problem_json

if TYPE_CHECKING:
    from pyconvex.engine.driver.watchdog import Blocked
    from pyconvex.engine.logs.logs import LogEntry
    from pyconvex.host import Reloaded
    from pyconvex.store.store import Progress

LOADED: Final = "loaded"
PROGRESS_SECONDS: Final = 1.0


class Events:
    """The events of one process.

    Args:
        worker: its number among those that serve together; None when it is the only one.
    """

    def __init__(self, lines: JsonLines, worker: int | None = None) -> None:
        self._lines = lines
        self._worker = {} if worker is None else {"worker": worker}
        self._next_progress = 0.0
        self._entry_tail = b"}" if worker is None else b',"worker":%d}' % worker

    def tell(self, type: str, **fields: Any) -> None:
        self._lines.write({"type": type, "ts": round(time.time(), 3), **fields, **self._worker})

    def logged(self, entry: "LogEntry") -> None:
        """A function has run, or said something: what `pyconvex logs --json` shows, as `entry`."""
        head = b'{"type":"log","ts":%.3f,"entry":' % entry.timestamp
        self._lines.write_line(head + msgspec.json.encode(entry) + self._entry_tail)

    def pass_on(self, line: bytes) -> None:
        """An event of another process, without its end of line."""
        self._lines.write_line(line)

    def starting(self, project: str, pid: int, urls: tuple[str, str], database: str) -> None:
        api, site = urls
        self.tell("starting", version=__version__, project=project, pid=pid, url=api, siteUrl=site, database=database)

    def loaded(self, reloaded: "Reloaded", seconds: float) -> None:
        """Requests are served from now on, so many seconds after the start of the process."""
        self.warn(reloaded.warnings)
        registry = reloaded.registry
        self.tell(
            LOADED,
            functions=len(registry.functions),
            routes=len(registry.router.routes) if registry.router is not None else 0,
            schema=asdict(reloaded.schema),
            tookMs=round(seconds * 1000, 1),
        )

    def failed(self, error: PyconvexError) -> None:
        """It cannot be served; people read the same on standard error."""
        only = Problem(error.code, error.message, error.place, error.hint)
        problems = error.problems if isinstance(error, LoadFailed) else (only,)
        self.tell("failed", problems=[problem_json(each) for each in problems])

    def warn(self, problems: Sequence[Problem]) -> None:
        if problems:
            self.tell("warnings", problems=[problem_json(each) for each in problems])

    def progressed(self, progress: "Progress") -> None:
        """Checking documents or filling indexes takes a while; told once a second, and at the end."""
        now = time.monotonic()
        if now >= self._next_progress or progress.done == progress.total:
            self._next_progress = now + PROGRESS_SECONDS
            self.tell("progress", **progress._asdict())

    def blocked(self, blocked: "Blocked") -> None:
        self.tell("blocked", place=str(blocked.place), seconds=blocked.seconds, function=blocked.function)

    def close(self) -> None:
        self._lines.close()


class Messages(logging.Handler):
    """Warnings and errors that come up outside of functions, as events. Those inside are in the functions' logs."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        if current.get() is not None:
            return
        try:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
            text = record.getMessage()
        except Exception:
            self.handleError(record)
            return
        self._events.tell("message", level=record.levelname, logger=record.name, text=text, trace=trace)
