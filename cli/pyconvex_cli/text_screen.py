"""`pyconvex dev` for people: everything goes to stderr."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyconvex import __version__
from pyconvex.errors import Place, Problem
from pyconvex.http.admin_api import describe
from pyconvex.loading.excerpt import Excerpt, excerpt
from pyconvex_cli.console import Console, Paint, Terminal
from pyconvex_cli.foreign_lines import coloured, plain
from pyconvex_cli.inventory import Inventory
from pyconvex_cli.local import disk_excerpts
from pyconvex_cli.log_rows import Layout
from pyconvex_cli.log_view import LogView
from pyconvex_cli.problems import problem_lines
from pyconvex_cli.screen import Surroundings
from pyconvex_cli.tables import inventory_tables
from pyconvex_cli.wording import clock, counted, duration, program_of

if TYPE_CHECKING:
    from pyconvex.engine.driver.watchdog import Blocked
    from pyconvex.engine.logs.logs import LogEntry
    from pyconvex.host import Reloaded
    from pyconvex.loading.registry import Registry

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


class TextScreen:
    """The events of `Screen`, as text."""

    def __init__(self, console: Console, around: Surroundings, *, rows: bool, verbose: bool) -> None:
        self._console = console
        self._around = around
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
        around = self._around
        kept = f"data in {around.database or (around.data and f'{around.data}/') or 'memory'}"
        kept += f" · files in {around.storage}" if around.storage else ""
        self._say([f"{paint('title', 'pyconvex')} {__version__} · {around.root.name} · {paint('muted', kept)}"])
        self.addresses()
        if self._rows:
            self._view = LogView(self._say, self._layout, everything=self._verbose)

    def addresses(self) -> None:
        """Where to reach the deployment."""
        lines: list[str] = []
        if self._around.urls is not None:
            paint = self._terminal.paint
            api, site = self._around.urls
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
        if self._around.interactive:
            text.append(paint("muted", "press h for help"))
        self._say([" · ".join(text), ""])

    def functions_and_routes(self) -> None:
        """Both tables, as they are served now."""
        if self._registry is None:
            return
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
        self._say(problem_lines(problems, disk_excerpts(self._around.root), self._terminal, verbose=self._verbose))
        serves = "Nothing is served until this is fixed." if still is None else "Still serving the version of "
        self._say([paint("muted", serves + ("" if still is None else f"{clock(still)}.")), ""])
        self._after()

    def logged(self, entry: "LogEntry") -> None:
        if self._view is not None:
            self._view.receive(entry)

    def blocked(self, blocked: "Blocked") -> None:
        paint = self._terminal.paint
        what = f"`{blocked.function}`" if blocked.function else "this line"
        text = f"{what} blocks every other request ({duration(blocked.seconds)} so far)"
        self._say([f"{paint('warn', 'warning[Blocked]:')} {text}", f"   {paint('link', str(blocked.place))}"])
        self._say([f"{paint('name', 'hint:')} await an async library instead, or `asyncio.to_thread(...)`", ""])
        self._after()

    def output(self, command: str, line: str) -> None:
        terminal = self._terminal
        name = program_of(command).rpartition("/")[2]
        self._say([f"{terminal.paint('muted', f'{name} │')} {coloured(line) if terminal.colour else plain(line)}"])

    def ended(self, command: str, code: int, hint: str | None) -> None:
        paint = self._terminal.paint
        mark = paint("bad", "✖") if code else paint("good", "✔")
        self._say([f"{mark} {clock(time.time())} {command} ended with exit code {code}"])
        if hint:
            self._say([f"{paint('name', 'hint:')} {hint}"])

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

    def _layout(self) -> Layout:
        """Made for each batch of rows: the window may have another size by now."""
        return Layout.fitting(self._names, self._terminal, self._excerpt)

    def _warn(self, warnings: Sequence[Problem]) -> None:
        """Shows the warnings that the version before did not have."""
        fresh = [each for each in warnings if each not in self._warned]
        self._warned = frozenset(warnings)
        if fresh:
            self._say([*problem_lines(fresh, self._excerpt, self._terminal, warning=True), ""])

    def _excerpt(self, place: Place) -> Excerpt | None:
        return None if self._registry is None else excerpt(self._registry.sources, place)

    def _after(self) -> None:
        """After a block of text, the next rows need their header again."""
        if self._view is not None:
            self._view.header_again()

    def _say(self, lines: Iterable[str]) -> None:
        self._console.say([f"{MARGIN}{line}".rstrip() for line in lines])


def difference_texts(reloaded: "Reloaded", paint: Paint) -> list[str]:
    """What a save changed: `~ messages:send  + messages:remove  − POST /old`; no text without any."""
    changes = reloaded.changes
    differences = (("", changes.functions), ("", changes.routes), ("auth ", changes.auth))
    marks = [("~", "warn", "changed"), ("+", "good", "added"), ("−", "bad", "removed")]
    parts = [
        f"{paint(style, sign)} {noun}{name}"
        for noun, difference in differences
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
    return Inventory.of_json(describe(registry))
