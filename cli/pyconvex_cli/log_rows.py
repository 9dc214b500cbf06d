"""Rows of the log: entries in, finished lines out. `pyconvex dev` and `pyconvex logs` look the same because of this."""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import Struct

from pyconvex.engine.logs.logs import Completion, LogEntry, LogLine, Progress
from pyconvex.errors import Place
from pyconvex_cli.console import Paint, Terminal, harmless
from pyconvex_cli.problems import frame_lines
from pyconvex_cli.wording import clock, duration

if TYPE_CHECKING:
    from pyconvex.loading.excerpt import Excerpt

KINDS = {"Query": "query", "Mutation": "mutation", "Action": "action", "HttpAction": "HTTP"}
_NAME_MIN, _NAME_MAX = 18, 44
_LEFT = 8 + 2 + 12 + 1
_RIGHT = 2 + 6 + 1 + 8
_DEPTH_MAX = 2
_JOB_LETTERS = 8
_ERROR_FRAME = re.compile(r"\s+at (?P<name>.+) \((?:\.\./)?(?P<file>[^()]+?):(?P<line>\d+)\)")
_LEVEL_STYLES = {"WARN": "warn", "ERROR": "bad", "DEBUG": "muted"}


def no_excerpt(place: Place) -> None:
    """For readers that do not have the sources at hand."""


class Layout(Struct, frozen=True):
    """Where the columns are. The name column fits the app's own functions and routes, within what the terminal has."""

    name_width: int
    terminal: Terminal
    excerpt: "Callable[[Place], Excerpt | None]" = no_excerpt

    @classmethod
    def fitting(
        cls,
        names: Iterable[str],
        terminal: Terminal,
        excerpt: "Callable[[Place], Excerpt | None]" = no_excerpt,
    ) -> "Layout":
        """A layout for these names (`messages:list`, `GET /getMessagesByAuthor`) on this terminal."""
        longest = max(map(len, names), default=0)
        room = min(terminal.width - _LEFT - _RIGHT, _NAME_MAX)
        return cls(max(min(longest, room), _NAME_MIN), terminal, excerpt)

    @property
    def width(self) -> int:
        return self.terminal.width

    @property
    def paint(self) -> Paint:
        return self.terminal.paint

    def header(self) -> str:
        """The line above the first row."""
        name = "Function / route".ljust(self.name_width)
        return self.paint("muted", f"{'Time':<8}  {'Kind':<12} {name}  {'Status':<6} {'Took':>8}   Log")


def request_lines(entries: Sequence[LogEntry], layout: Layout) -> Iterator[str]:
    """The rows of one request: the call that came from outside, and below it what that one called.

    An error that climbs from a called function to its caller is told once.
    """
    told: set[str] = set()
    ids = {entry.execution_id for entry in entries if isinstance(entry, Completion)}
    for entry in entries:
        parent = entry.parent_execution_id if isinstance(entry, Completion) else None
        if isinstance(entry, Completion) and parent not in ids:
            yield from _execution(entry, entries, layout, 0 if parent is None else 1, told)
        elif isinstance(entry, Progress) and entry.execution_id not in ids:
            yield from _lines(entry.log_lines, layout)


def _execution(
    entry: Completion, entries: Sequence[LogEntry], layout: Layout, depth: int, told: set[str]
) -> Iterator[str]:
    yield from _row(entry, layout, depth)
    yield from _lines(entry.log_lines, layout)
    for inner in sorted(entries, key=_begun):
        if isinstance(inner, Completion):
            if inner.parent_execution_id == entry.execution_id:
                yield from _execution(inner, entries, layout, depth + 1, told)
        elif inner.execution_id == entry.execution_id:
            yield from _lines(inner.log_lines, layout)
    if entry.error is not None and _summary(entry.error) not in told:
        told.add(_summary(entry.error))
        yield from _error(entry.error, layout)
        if entry.hint:
            yield from _below(layout, f"hint: {harmless(entry.hint)}", "muted")


def _begun(entry: LogEntry) -> float:
    if isinstance(entry, Completion):
        return entry.execution_timestamp
    return entry.log_lines[0].timestamp / 1000 if entry.log_lines else entry.timestamp


def _row(entry: Completion, layout: Layout, depth: int) -> Iterator[str]:
    paint = layout.paint
    kind = "  " * min(depth, _DEPTH_MAX) + KINDS.get(entry.udf_type, entry.udf_type)
    name = _fitted(harmless(entry.request or entry.identifier), layout)
    word, style = _status(entry)
    took = duration(entry.execution_time)
    start = f"{paint('muted', clock(entry.timestamp))}  {paint('name', kind)}{' ' * (12 - len(kind))} {name}"
    row = f"{start}  {paint(style, word)}{' ' * (6 - len(word))} {took:>8}"
    note = harmless(entry.note or _usage(entry))
    fits = _LEFT + len(name) + _RIGHT + 3 + len(note) <= layout.width
    yield f"{row}   {paint('muted', note)}" if note and fits else row
    if note and not fits:
        yield from _below(layout, note, "muted")


def _fitted(name: str, layout: Layout) -> str:
    room = layout.width - _LEFT - _RIGHT
    if len(name) > max(room, layout.name_width):
        name = name[: max(room, layout.name_width) - 1] + "…"
    return name.ljust(layout.name_width)


def _status(entry: Completion) -> tuple[str, str]:
    if entry.status is not None:
        style = "good" if entry.status < 300 else "name" if entry.status < 400 else "warn"
        return str(entry.status), style if entry.status < 500 else "bad"
    if entry.error is not None:
        return "error", "bad"
    return ("cached", "good") if entry.cached_result else ("ok", "good")


def _usage(entry: Completion) -> str:
    usage = entry.usage_stats
    parts = ((usage.database_read_documents, "read"), (usage.database_write_documents, "written"))
    used = ", ".join(f"{count} {what}" for count, what in parts if count) if entry.udf_type != "HttpAction" else ""
    return " · ".join(part for part in (_origin(entry), used) if part)


def _origin(entry: Completion) -> str:
    """What set a call off that nobody asked for; ids of jobs are long, and their beginning tells them apart."""
    if entry.job is None or entry.parent_execution_id is not None:
        return ""
    return f"job {entry.job[:_JOB_LETTERS]}…" + (", will retry" if entry.will_retry else "")


def _lines(lines: Iterable[LogLine], layout: Layout) -> Iterator[str]:
    for line in lines:
        level = line.level.value
        style = _LEVEL_STYLES.get(level, "")
        mark = "" if level == "LOG" else f"{level} "
        yield from _below(layout, mark + harmless(line.shown()), style, clock(line.timestamp / 1000))


def _below(layout: Layout, text: str, style: str = "", time: str = "") -> Iterator[str]:
    """`text` under a row, beside a bar, in as many lines as it needs."""
    for number, line in enumerate(_wrapped(text, layout.width - _LEFT - 2)):
        left = layout.paint("muted", time) + " " * (_LEFT - len(time)) if number == 0 else " " * _LEFT
        yield f"{left}{layout.paint('muted', '│')} {layout.paint(style, line) if style else line}".rstrip()


def _wrapped(text: str, width: int) -> Iterator[str]:
    for line in text.splitlines() or [""]:
        yield from textwrap.wrap(line, max(width, 20), drop_whitespace=False, replace_whitespace=False) or [""]


def _summary(error: str) -> str:
    return error.partition("\n    at ")[0].strip()


def _error(error: str, layout: Layout) -> Iterator[str]:
    yield from _below(layout, harmless(_summary(error)).removeprefix("Uncaught ") or "unknown error", "loud")
    for number, frame in enumerate(_ERROR_FRAME.finditer(error)):
        place = Place(frame["file"], int(frame["line"]))
        yield from _below(layout, f"  at {frame['name']} ({place})", "muted")
        found = layout.excerpt(place) if number == 0 else None
        beside = replace(layout.terminal, width=layout.width - _LEFT - 2)
        for line in frame_lines(place, found, beside) if found else ():
            yield f"{' ' * _LEFT}{layout.paint('muted', '│')} {line}"


class Gatherer:
    """Puts the entries of one request together, because a caller's entry comes after those of what it called.

    A pure state machine: `add` and `overdue` answer with the requests that are ready to be shown.
    """

    HOLD_SECONDS = 0.4
    """A request that takes longer is shown as it goes."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[float, list[LogEntry]]] = {}

    def add(self, entry: LogEntry, now: float) -> list[LogEntry]:
        """Takes one entry; answers with its request's entries when that is complete, else with nothing."""
        is_last = isinstance(entry, Completion) and entry.parent_execution_id is None
        if is_last and entry.request_id not in self._open:
            return [entry]
        _, gathered = self._open.setdefault(entry.request_id, (now, []))
        gathered.append(entry)
        return self._open.pop(entry.request_id)[1] if is_last else []

    def overdue(self, now: float) -> list[list[LogEntry]]:
        """What has been held long enough; to be shown although its request goes on."""
        late = [request for request, (since, _) in self._open.items() if now - since >= self.HOLD_SECONDS]
        return [self._open.pop(request)[1] for request in late]

    @property
    def holds(self) -> bool:
        """Whether `overdue` has to be asked again later."""
        return bool(self._open)
