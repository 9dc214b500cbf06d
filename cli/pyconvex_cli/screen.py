"""What `pyconvex dev` shows: as text for people, or as one JSON object per event for programs."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyconvex import __version__
from pyconvex.errors import Place, Problem
from pyconvex_cli.console import Console, Paint, Terminal
from pyconvex_cli.inventory import Inventory
from pyconvex_cli.local import disk_excerpts
from pyconvex_cli.problems import problem_lines
from pyconvex_cli.wording import clock, counted, duration

if TYPE_CHECKING:
    from pyconvex.engine.logs import LogEntry
    from pyconvex.engine.watchdog import Blocked
    from pyconvex.host import Reloaded
    from pyconvex.loading.excerpt import Excerpt
    from pyconvex.loading.registry import Registry
    from pyconvex_cli.log_rows import Layout
    from pyconvex_cli.log_view import LogView

MARGIN = "  "
DIFFERENCES_SHOWN = 12
KEYS = (
    ("h", "this help"),
    ("r", "reload"),
    ("f", "functions and routes"),
    ("u", "addresses"),
    ("c", "clear the screen"),
    ("p", "pause the log, or go on"),
    ("q", "quit"),
)


@dataclass(frozen=True, slots=True)
class Session:
    """What does not change while `dev` runs. `urls` is None when nothing is served (`--once`)."""

    root: Path
    data: str
    """The folder that keeps the data; empty when memory does."""
    urls: tuple[str, str] | None
    interactive: bool


class Screen(Protocol):
    """The events of a development session."""

    def opened(self) -> None:
        """Addresses are known."""

    def ready(self, reloaded: "Reloaded", seconds: float) -> None:
        """The first version is served, `seconds` after the start of the command."""

    def reloaded(self, reloaded: "Reloaded", files: Sequence[str]) -> None:
        """A save is served."""

    def failed(self, problems: Sequence[Problem], files: Sequence[str], still: float | None) -> None:
        """A save is not served; the version of the moment `still` goes on, or none."""

    def logged(self, entry: "LogEntry") -> None:
        """A function has run, or said something. Called while a request is answered: must be quick."""

    def blocked(self, blocked: "Blocked") -> None:
        """A line of the user's blocks the event loop."""

    def note(self, text: str) -> None:
        """Anything else worth a line."""

    def close(self) -> None:
        """The last call."""


class TextScreen:
    """For people. Everything goes to stderr."""

    def __init__(self, console: Console, session: Session, *, rows: bool, verbose: bool) -> None:
        self._console = console
        self._session = session
        self._rows = rows
        self._verbose = verbose
        self._registry: Registry | None = None
        self._names: list[str] = []
        self._view: LogView | None = None
        self._warned: frozenset[Problem] = frozenset()

    @property
    def _terminal(self) -> Terminal:
        terminal = self._console.err
        return replace(terminal, width=terminal.width - len(MARGIN))

    def opened(self) -> None:
        paint = self._terminal.paint
        session = self._session
        kept = f"data in {session.data}/" if session.data else "data in memory"
        self._say([f"{paint('title', 'pyconvex')} {__version__} · {session.root.name} · {paint('muted', kept)}"])
        self.addresses()
        if self._rows:
            from pyconvex_cli.log_view import LogView

            self._view = LogView(self._say, self._layout, everything=self._verbose)

    def addresses(self) -> None:
        """Where to reach the deployment."""
        lines: list[str] = []
        if self._session.urls is not None:
            paint = self._terminal.paint
            api, site = self._session.urls
            beside = paint("muted", "(HTTP actions; also on the API address)")
            lines.append(f"{paint('good', '➜')} API        {paint('link', api)}")
            lines.append(f"{paint('good', '➜')} Site       {paint('link', site)}   {beside}")
        self._say([*lines, ""])

    def ready(self, reloaded: "Reloaded", seconds: float) -> None:
        self._use(reloaded.registry)
        self.functions_and_routes()
        self._warn(reloaded.warnings)
        inventory = _inventory(reloaded.registry)
        paint = self._terminal.paint
        text = [
            f"{paint('good', '✔')} {clock(time.time())} ready in {duration(seconds)}",
            counted(len(inventory.functions), "function"),
            counted(len(inventory.routes), "route"),
        ]
        if self._session.interactive:
            text.append(paint("muted", "press h for help"))
        self._say([" · ".join(text), ""])

    def functions_and_routes(self) -> None:
        """Both tables, as they are served now."""
        if self._registry is None:
            return
        from pyconvex_cli.tables import inventory_tables

        self._say([*inventory_tables(_inventory(self._registry), self._terminal), ""])

    def reloaded(self, reloaded: "Reloaded", files: Sequence[str]) -> None:
        self._use(reloaded.registry)
        self._warn(reloaded.warnings)
        paint = self._terminal.paint
        line = f"{paint('good', '✔')} {clock(time.time())} reloaded in {duration(reloaded.took_ms / 1000)}"
        self._say([" · ".join([line, *_named(files, paint), *difference_texts(reloaded, paint)])])

    def failed(self, problems: Sequence[Problem], files: Sequence[str], still: float | None) -> None:
        paint = self._terminal.paint
        what = "not loaded" if still is None else "not reloaded"
        self._say([" · ".join([f"{paint('bad', '✖')} {clock(time.time())} {what}", *_named(files, paint)])])
        self._say(problem_lines(problems, disk_excerpts(self._session.root), self._terminal, verbose=self._verbose))
        serves = "Nothing is served until this is fixed." if still is None else "Still serving the version of "
        self._say([paint("muted", serves + ("" if still is None else f"{clock(still)}.")), ""])
        self._after()

    def logged(self, entry: "LogEntry") -> None:
        if self._view is not None:
            self._view.receive(entry)

    def blocked(self, blocked: "Blocked") -> None:
        paint = self._terminal.paint
        what = f"`{blocked.function}`" if blocked.function else "this line"
        text = f"{what} blocked every other request for {duration(blocked.seconds)}"
        self._say([f"{paint('warn', 'warning[Blocked]:')} {text}", f"   {paint('link', str(blocked.place))}"])
        self._say([f"{paint('name', 'hint:')} await an async library instead, or `asyncio.to_thread(...)`", ""])
        self._after()

    def note(self, text: str) -> None:
        self._say([text])

    def hold(self, on: bool) -> None:
        """No rows while something else prints."""
        if self._view is not None:
            self._view.hold() if on else self._view.release()

    def press(self, key: str) -> bool:
        """A key that only concerns the screen; whether it was one."""
        actions: dict[str, Callable[[], None]] = {
            "h": self._help,
            "?": self._help,
            "f": self.functions_and_routes,
            "u": self.addresses,
            "c": self._clear,
            "p": self._pause,
        }
        if action := actions.get(key.lower()):
            action()
            if key != "p":
                self._after()
        return action is not None

    def close(self) -> None:
        if self._view is not None:
            self._view.close()

    def _help(self) -> None:
        self._say([*(f"{self._terminal.paint('strong', key)}  {about}" for key, about in KEYS), ""])

    def _clear(self) -> None:
        self._console.stderr.write("\x1b[2J\x1b[3J\x1b[H")
        self._console.stderr.flush()

    def _pause(self) -> None:
        if self._view is not None:
            paused = self._view.toggle_pause()
            self._say([self._terminal.paint("muted", "the log is paused; p goes on" if paused else "the log goes on")])

    def _use(self, registry: "Registry") -> None:
        self._registry = registry
        inventory = _inventory(registry)
        self._names = [each.path for each in inventory.functions]
        self._names += [f"{each.method} {each.path}" for each in inventory.routes]

    def _layout(self) -> "Layout":
        """Made for each batch of rows: the window may have another size by now."""
        from pyconvex_cli.log_rows import Layout

        return Layout.fitting(self._names, self._terminal, self._excerpt)

    def _warn(self, warnings: Sequence[Problem]) -> None:
        """Shows the warnings that the version before did not have."""
        fresh = [each for each in warnings if each not in self._warned]
        self._warned = frozenset(warnings)
        if fresh:
            self._say([*problem_lines(fresh, self._excerpt, self._terminal, warning=True), ""])

    def _excerpt(self, place: Place) -> "Excerpt | None":
        from pyconvex.loading.excerpt import excerpt

        return None if self._registry is None else excerpt(self._registry.sources, place)

    def _after(self) -> None:
        """After a block of text, the next rows need their header again."""
        if self._view is not None:
            self._view.header_again()

    def _say(self, lines: Iterable[str]) -> None:
        self._console.say([f"{MARGIN}{line}".rstrip() for line in lines])


class JsonScreen:
    """For programs: one JSON object per line on stdout, each with `type` and `ts` (seconds since 1970)."""

    def __init__(self, console: Console, session: Session) -> None:
        self._console = console
        self._session = session

    def opened(self) -> None:
        urls = self._session.urls
        self._event(
            "opened",
            version=__version__,
            project=self._session.root.name,
            data=self._session.data or None,
            url=urls[0] if urls else None,
            siteUrl=urls[1] if urls else None,
        )

    def ready(self, reloaded: "Reloaded", seconds: float) -> None:
        from pyconvex.http.admin_api import describe

        self._warn(reloaded.warnings)
        self._event("ready", tookMs=round(seconds * 1000, 1), **describe(reloaded.registry))

    def reloaded(self, reloaded: "Reloaded", files: Sequence[str]) -> None:
        self._warn(reloaded.warnings)
        changes = {
            "functions": asdict(reloaded.changes.functions),
            "routes": asdict(reloaded.changes.routes),
            "schema": asdict(reloaded.schema),
        }
        self._event("reloaded", files=list(files), tookMs=round(reloaded.took_ms, 1), **changes)

    def failed(self, problems: Sequence[Problem], files: Sequence[str], still: float | None) -> None:
        described = [problem_json(each) for each in problems]
        self._event("failed", files=list(files), problems=described, stillServing=still)

    def logged(self, entry: "LogEntry") -> None:
        from pyconvex.engine.logs import to_wire

        self._event("log", entry=to_wire(entry, structured=True))

    def blocked(self, blocked: "Blocked") -> None:
        self._event("blocked", place=str(blocked.place), seconds=blocked.seconds, function=blocked.function)

    def note(self, text: str) -> None:
        self._event("note", text=text)

    def close(self) -> None:
        self._event("stopped")

    def _warn(self, warnings: Sequence[Problem]) -> None:
        if warnings:
            self._event("warnings", problems=[problem_json(each) for each in warnings])

    def _event(self, type: str, **fields: Any) -> None:
        self._console.event(type, ts=round(time.time(), 3), **fields)


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem for programs."""
    return {
        "code": problem.code,
        "message": problem.message,
        "place": str(problem.place) if problem.place else None,
        "also": [str(place) for place in problem.also],
        "hint": problem.hint,
    }


def difference_texts(reloaded: "Reloaded", paint: Paint) -> list[str]:
    """What a save changed: `~ messages:send  + messages:remove  − POST /old`; no text without any."""
    differences = (reloaded.changes.functions, reloaded.changes.routes)
    marks = [("~", "warn", "changed"), ("+", "good", "added"), ("−", "bad", "removed")]
    parts = [
        f"{paint(style, sign)} {name}"
        for difference in differences
        for sign, style, group in marks
        for name in getattr(difference, group)
    ]
    schema = reloaded.schema
    parts += [f"{paint('good', '+')} table {name}" for name in schema.tables_created]
    parts += [f"{paint('good', '+')} index {name}" for name in schema.indexes_created]
    parts += [f"{paint('bad', '−')} index {name}" for name in schema.indexes_dropped]
    shown = parts[:DIFFERENCES_SHOWN]
    if len(parts) > len(shown):
        shown.append(f"… {len(parts) - len(shown):,} more")
    return ["  ".join(shown)] if shown else []


def _named(files: Sequence[str], paint: Paint) -> list[str]:
    if not files:
        return []
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return [paint("muted", f"{files[0]}{more}")]


def _inventory(registry: "Registry") -> Inventory:
    from pyconvex.http.admin_api import describe

    return Inventory.of_json(describe(registry))
