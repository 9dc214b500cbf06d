"""What `pyconvex dev` shows: as text for people, or as one JSON object per event for programs."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyconvex import __version__
from pyconvex.errors import Place, Problem
from pyconvex_cli.console import Console, Terminal
from pyconvex_cli.problems import problem_lines
from pyconvex_cli.wording import clock, counted, duration

if TYPE_CHECKING:
    from pyconvex.engine.logs import LogEntry
    from pyconvex.engine.watchdog import Blocked
    from pyconvex.host import Reloaded
    from pyconvex.loading.excerpt import Excerpt
    from pyconvex.loading.registry import Registry
    from pyconvex_cli.log_view import LogView

MARGIN = "  "
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

    project: str
    data: str
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
        self._say([f"{paint('title', 'pyconvex')} {__version__} · {session.project} · {paint('muted', kept)}"])
        if session.urls is not None:
            self.addresses()

    def addresses(self) -> None:
        """Where to reach the deployment."""
        if self._session.urls is None:
            return
        paint = self._terminal.paint
        api, site = self._session.urls
        beside = paint("muted", "(HTTP actions; also on the API address)")
        self._say(
            [
                f"{paint('good', '➜')} API        {paint('link', api)}",
                f"{paint('good', '➜')} Site       {paint('link', site)}   {beside}",
                "",
            ]
        )

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
        self._after()

    def failed(self, problems: Sequence[Problem], files: Sequence[str], still: float | None) -> None:
        paint = self._terminal.paint
        self._say([" · ".join([f"{paint('bad', '✖')} {clock(time.time())} not reloaded", *_named(files, paint)])])
        self._say(problem_lines(problems, self._disk_excerpt, paint, verbose=self._verbose))
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
        self._say([f"{paint('name', 'hint:')} await an async library instead, or `asyncio.to_thread(...)`"])
        self._after()

    def note(self, text: str) -> None:
        self._say([text])
        self._after()

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
            self._after()
        return action is not None

    def close(self) -> None:
        if self._view is not None:
            self._view.close()

    def _help(self) -> None:
        self._say([f"{self._terminal.paint('strong', key)}  {about}" for key, about in KEYS])

    def _clear(self) -> None:
        self._console.stderr.write("\x1b[2J\x1b[3J\x1b[H")
        self._console.stderr.flush()

    def _pause(self) -> None:
        if self._view is not None:
            paused = self._view.toggle_pause()
            self._say([self._terminal.paint("muted", "the log is paused; p goes on" if paused else "the log goes on")])

    def _use(self, registry: "Registry") -> None:
        from pyconvex_cli.log_rows import Layout

        self._registry = registry
        inventory = _inventory(registry)
        names = [each.path for each in inventory.functions] + [f"{each.method} {each.path}" for each in inventory.routes]
        layout = Layout.fitting(names, self._terminal, self._excerpt)
        if self._view is not None:
            self._view.layout = layout
        elif self._rows:
            from pyconvex_cli.log_view import LogView

            self._view = LogView(self._say, layout, everything=self._verbose)

    def _warn(self, warnings: Sequence[Problem]) -> None:
        """Shows the warnings that the version before did not have."""
        fresh = [each for each in warnings if each not in self._warned]
        self._warned = frozenset(warnings)
        if fresh:
            self._say([*problem_lines(fresh, self._excerpt, self._terminal.paint, warning=True), ""])

    def _excerpt(self, place: Place) -> "Excerpt | None":
        from pyconvex.loading.excerpt import excerpt

        return None if self._registry is None else excerpt(self._registry.sources, place)

    def _disk_excerpt(self, place: Place) -> "Excerpt | None":
        raise NotImplementedError

    def _after(self) -> None:
        if self._view is not None:
            self._view.header_again()

    def _say(self, lines: Iterable[str]) -> None:
        self._console.say([f"{MARGIN}{line}".rstrip() for line in lines])
