"""Which saves matter: the functions folder and the few files around it, told within about ten milliseconds.

Decided in pure code (`Watched`); watchfiles (https://watchfiles.helpmanual.io) only brings the paths. It is imported
late, since it costs 80 ms, and its rust part is used directly, which tells when it has begun to watch.
"""

import asyncio
import contextlib
import importlib
import re
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

from msgspec import Struct, field

from pyconvex_cli.snapshot import Stamp, snapshot

STEP_MS = 5
DEBOUNCE_MS = 50
"""watchfiles waits `step` after a change for more of them, up to `debounce`; its defaults would cost 80 ms a save."""
AROUND_STEP_MS = 100
"""Nobody waits for these files; and each step of a watching thread takes the interpreter from the requests."""
POLL_MS = 300

_NEVER = {"_generated", "__pycache__", "node_modules", ".pyconvex", ".git"}
_TEMPORARY = re.compile(
    r"""
      \#.*                         # Emacs: #name#, .#name
    | \.\#.*
    | .*~                          # backups
    | \..*\.sw[a-z]x?              # Vim's swap files
    | \d+                          # Vim's probe for a writable folder, 4913
    | .*___jb_(tmp|old)___         # JetBrains' safe write
    | .*\.(tmp|temp|bak|orig|pyc)
    | \.goutputstream-.* | \.sb-.*
    """,
    re.VERBOSE,
)


class Matter(StrEnum):
    """What a change means for the running deployment."""

    FUNCTIONS = "functions"
    """A module of the functions folder: reload."""
    SETTINGS = "settings"
    """`pyproject.toml`: only a restart applies it."""
    ENV_LOCAL = "env_local"
    """`.env.local`: bring our lines up to date."""
    OUTSIDE = "outside"
    """A file of the project that functions imported from outside their folder: only a restart loads it again."""


class Watched(Struct):
    """What is watched in one project. `outside` changes as versions are loaded."""

    project: Path
    functions: Path
    outside: frozenset[Path] = field(default_factory=lambda: frozenset[Path]())

    def matter(self, path: Path) -> Matter | None:
        """Why a change of `path` matters, or None."""
        if _TEMPORARY.fullmatch(path.name):
            return None
        if path.is_relative_to(self.functions):
            inner = path.relative_to(self.functions).parts
            is_module = path.suffix == ".py" and not any(part in _NEVER or part.startswith(".") for part in inner)
            return Matter.FUNCTIONS if is_module else None
        if path in self.outside:
            return Matter.OUTSIDE
        if path.parent == self.project:
            return {"pyproject.toml": Matter.SETTINGS, ".env.local": Matter.ENV_LOCAL}.get(path.name)
        return None

    def sorted_by_matter(self, paths: set[Path]) -> dict[Matter, list[Path]]:
        """The paths that matter, by why they do."""
        found: dict[Matter, list[Path]] = {}
        for path in sorted(paths):
            matter = self.matter(path)
            if matter is not None:
                found.setdefault(matter, []).append(path)
        return found

    def folders_around(self) -> set[Path]:
        """The folders to watch besides the functions folder, each without what lies below it."""
        return {self.project, *(path.parent for path in self.outside)}


class Watcher:
    """Brings the changes of one project to the event loop. `start` blocks (imports, disk), so use a thread for it.

    Two threads watch: the functions folder with everything below it, and single folders without what lies below
    them (`node_modules` beside the functions may hold 100,000 folders).
    """

    def __init__(self, watched: Watched, report: Callable[[dict[Matter, list[Path]]], None]) -> None:
        self._watched = watched
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._renew = {"functions": threading.Event(), "around": threading.Event()}
        self._threads: list[threading.Thread] = []

    def start(self, known: Mapping[Path, Stamp]) -> None:
        """Watch from now on; what is different from `known` (a snapshot of before) is reported too."""
        importlib.import_module("watchfiles")
        for name, watch in (("functions", self._watch_functions), ("around", self._watch_around)):
            watching = threading.Event()
            thread = threading.Thread(target=watch, args=(watching,), name=f"pyconvex-watch-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()
            watching.wait()
        now = snapshot(self._watched.functions)
        self._tell({path for path in known.keys() | now.keys() if known.get(path) != now.get(path)})

    def outside(self, files: frozenset[Path]) -> None:
        """Watch these files too, instead of those of the call before."""
        before = self._watched.folders_around()
        self._watched.outside = files
        if self._watched.folders_around() != before:
            self._renew["around"].set()

    def stop(self) -> None:
        self._stop.set()
        for renew in self._renew.values():
            renew.set()
        for thread in self._threads:
            thread.join(1)

    def _watch_functions(self, watching: threading.Event) -> None:
        while not self._stop.is_set():
            self._renew["functions"].clear()
            if self._watched.functions.is_dir():
                self._watch([self._watched.functions], watching, "functions", recursive=True, step_ms=STEP_MS)
            else:
                watching.set()
                self._renew["functions"].wait()

    def _watch_around(self, watching: threading.Event) -> None:
        while not self._stop.is_set():
            self._renew["around"].clear()
            folders = [folder for folder in self._watched.folders_around() if folder.is_dir()]
            self._watch(folders, watching, "around", recursive=False, step_ms=AROUND_STEP_MS)

    def _watch(
        self, folders: list[Path], watching: threading.Event, name: str, *, recursive: bool, step_ms: int
    ) -> None:
        from watchfiles._rust_notify import RustNotify

        paths = [str(folder) for folder in folders]
        try:
            notify = RustNotify(paths, False, False, 0, recursive, True)
        except OSError:  # the system's limit of watched folders is reached: look at the files instead
            notify = RustNotify(paths, False, True, POLL_MS, recursive, True)
        with notify:
            watching.set()
            while True:
                found = notify.watch(DEBOUNCE_MS, step_ms, 0, self._renew[name])
                if not isinstance(found, set):
                    return
                self._tell({Path(path) for _, path in found})

    def _tell(self, paths: set[Path]) -> None:
        functions = self._watched.functions
        if functions in paths:  # made anew, moved or deleted: what is watched is no longer what has the name
            self._renew["functions"].set()
            paths = paths | set(functions.rglob("*.py"))
        found = self._watched.sorted_by_matter(paths)
        if functions in paths:
            found.setdefault(Matter.FUNCTIONS, [functions])
        if found and not self._stop.is_set():
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._report, found)
