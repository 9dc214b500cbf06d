"""`pyconvex dev` while it runs: saves become reloads, and everything that happens is shown.

Decisions are here, appearance is in `text_screen.py` and `json_screen.py`.
"""

import asyncio
import contextlib
import contextvars
import os
import time
from collections.abc import Coroutine, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pyconvex.engine.driver.watchdog import Blocked, Watchdog
from pyconvex.errors import LoadFailed, Problem
from pyconvex.host import Host, Reloaded, Sockets
from pyconvex.settings import BadSetting, Settings, Source, TailLogs, resolve_settings
from pyconvex.store.keys import Commit
from pyconvex.store.store import SchemaChange
from pyconvex_cli.awaited import AwaitedData
from pyconvex_cli.console import Console
from pyconvex_cli.deployment import Refused
from pyconvex_cli.dev import FAILED, RESTART, DevOptions, first_load
from pyconvex_cli.embedded import ask
from pyconvex_cli.env_local import env_local_values, update_env_local
from pyconvex_cli.generated import write_generated
from pyconvex_cli.gitignore import extend_gitignore
from pyconvex_cli.json_screen import JsonScreen
from pyconvex_cli.leaving import DONE, Leaving
from pyconvex_cli.notes import runtime_warnings
from pyconvex_cli.screen import Screen, Surroundings
from pyconvex_cli.snapshot import Stamp
from pyconvex_cli.text_screen import TextScreen
from pyconvex_cli.watcher import Matter, Watched, Watcher

ECHO_SECONDS = 0.2
"""Systems may tell of one save in several pieces, this far apart."""


class DevSession:
    """One development session on an open host, from its first version on."""

    def __init__(
        self,
        host: Host,
        sockets: Sockets | None,
        settings: Settings,
        options: DevOptions,
        console: Console,
        leaving: Leaving,
    ) -> None:
        self._host = host
        self._sockets = sockets
        self._settings = settings
        self._options = options
        self._leave = leaving
        self._project = host.options.project
        self._interactive = options.stays and not options.json and console.interactive
        self._has_colours = not options.json and console.err.colour
        self._text, self.screen = self._screens(console)
        self._loop = asyncio.get_running_loop()
        self._watched = Watched(self._project, host.options.functions_folder)
        self._watcher = Watcher(self._watched, self._changed)
        self._saved: dict[Path, None] = {}
        self._reloading: asyncio.Task[None] | None = None
        self._command: asyncio.Task[None] | None = None
        self._served_since: float | None = None
        self._awaited = AwaitedData()
        self._retry: asyncio.TimerHandle | None = None
        self._is_retry = False
        self._outcome: tuple[Sequence[Problem] | None, float] = (None, 0.0)
        self._restart_needed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        # commits are told of while a function runs; a reload must not run as a part of it
        self._context = contextvars.copy_context()

    async def run(
        self,
        first: Reloaded | LoadFailed,
        seconds: float,
        known: Mapping[Path, Stamp],
        server: "asyncio.Task[None] | None",
    ) -> int:
        """The session to its end; answers with the exit code, or `RESTART`.

        Arguments:
            first: the first version, which is served already, and which took `seconds`.
            known: the functions folder as it was before that version was loaded.
        """
        try:
            self.screen.opened()
            with self._rows_held(always=True):
                self._follow_log()
                await self._show_first(first, seconds)
            if self._leave.code is None:
                with runtime_warnings(self.screen.note):
                    await self._stay(known, server)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._command is not None:
                await asyncio.wait({self._command})
            self.screen.close()
        code = self._leave.code
        return FAILED if code is None else code

    def _screens(self, console: Console) -> tuple[TextScreen | None, Screen]:
        around = Surroundings(
            root=self._project,
            data="" if self._host.options.memory else self._settings.data,
            database=self._host.options.database_shown,
            storage=self._host.options.storage_shown,
            urls=(self._sockets.api_url, self._sockets.site_url) if self._sockets else None,
            interactive=self._interactive,
        )
        if self._options.json:
            return None, JsonScreen(console, around)
        rows = self._settings.tail_logs is not TailLogs.DISABLE
        text = TextScreen(console, around, rows=rows, verbose=self._options.verbose)
        return text, text

    # -- versions --------------------------------------------------------------------------------------------------

    async def _show_first(self, first: Reloaded | LoadFailed, seconds: float) -> None:
        self._note(first)
        self._awaited.end(first, is_retry=False)
        if isinstance(first, LoadFailed):
            self.screen.failed(first.problems, (), None)
            await self._write_generated(first)
        else:
            await self._write_generated(first)
            self.screen.ready(first, seconds)
            await self._succeeded()
        if self._options.once:
            self._leave(FAILED if isinstance(first, LoadFailed) else DONE)

    def _note(self, outcome: Reloaded | LoadFailed) -> None:
        """What later decisions need to know of this outcome."""
        if isinstance(outcome, LoadFailed):
            return
        self._served_since = time.time()
        self._watcher.outside(outcome.outside)

    async def _succeeded(self) -> None:
        """What waits for the first version that can be served."""
        run, start = self._options.run, self._options.start
        self._options = replace(self._options, run=None, start=None)
        if run is not None:
            await self._run_function(run)
        if self._options.until_success:
            self._leave(DONE)
        elif start is not None and self._options.stays:
            self._command = self._background(self._run_command(start))

    def _reload_soon(self, files: Sequence[Path]) -> None:
        self._saved |= dict.fromkeys(files)
        if self._reloading is None or self._reloading.done():
            self._reloading = self._background(self._reload())

    async def _reload(self) -> None:
        """Loads until nothing is left to load: what is saved while a load runs is loaded after it."""
        go_on = True
        while go_on:
            names = [self._shown(path) for path in self._saved]
            self._saved.clear()
            with self._rows_held():
                await self._reload_once(names)
            go_on = bool(self._saved)

    async def _reload_once(self, names: Sequence[str]) -> None:
        still = self._served_since
        is_retry, self._is_retry = self._is_retry and not names, False
        self._awaited.begin()
        outcome = await first_load(self._host)
        self._note(outcome)
        is_news = self._awaited.end(outcome, is_retry=is_retry)
        if self._awaited.missed():
            self._retry_later()
        is_echo = self._is_echo(outcome) or not is_news
        if isinstance(outcome, LoadFailed):
            if not is_echo:
                self.screen.failed(outcome.problems, names, still)
            await self._write_generated(outcome)
            return
        if not is_echo:
            self.screen.reloaded(outcome, names)
        await self._write_generated(outcome)
        if still is None:
            await self._succeeded()

    def _is_echo(self, outcome: Reloaded | LoadFailed) -> bool:
        """Whether this only repeats what was just said."""
        problems = outcome.problems if isinstance(outcome, LoadFailed) else None
        changed = isinstance(outcome, Reloaded) and (outcome.changes or outcome.schema != SchemaChange())
        before, self._outcome = self._outcome, (problems, time.monotonic())
        return not changed and before[0] == problems and self._outcome[1] - before[1] < ECHO_SECONDS

    async def _write_generated(self, outcome: Reloaded | LoadFailed) -> None:
        """Also of a version that fails, what its schema says: editors need it to help with the rest."""
        if not self._options.codegen:
            return
        complete = isinstance(outcome, Reloaded)
        try:
            await asyncio.to_thread(write_generated, self._watched.functions, outcome.generated, complete=complete)
        except OSError as error:
            self.screen.note(f"cannot write {error.filename}: {error.strerror}")

    # -- what happens meanwhile ------------------------------------------------------------------------------------

    async def _stay(self, known: Mapping[Path, Stamp], server: "asyncio.Task[None] | None") -> None:
        watchdog = Watchdog(self._loop, self._blocked, self._project)
        self._host.store.on_commit(self._data_changed)
        self._host.environment.on_change(self._variables_changed)
        await asyncio.to_thread(self._watcher.start, known)
        self._keep_files_current()
        watchdog.start()
        try:
            with self._keys():
                await self._leave.wait(*filter(None, [server]))
        finally:
            watchdog.stop()
            await asyncio.to_thread(self._watcher.stop)

    def _follow_log(self) -> None:
        """Shows what is logged from now on, and what was since requests are answered."""
        if self._sockets is None or self._settings.tail_logs is TailLogs.DISABLE:
            return
        for entry in self._host.logs.entries(0.0):
            self.screen.logged(entry)
        self._host.logs.subscribe(self.screen.logged)

    def _changed(self, found: dict[Matter, list[Path]]) -> None:
        if Matter.FUNCTIONS in found:
            self._reload_soon(found[Matter.FUNCTIONS])
        if Matter.ENV_LOCAL in found:
            self._keep_files_current()
        if Matter.OUTSIDE in found:
            self._offer_restart(found[Matter.OUTSIDE], "which the functions import, is only loaded at the start")
        if Matter.SETTINGS in found and self._settings_changed():
            self._offer_restart(found[Matter.SETTINGS], "has other settings now")

    def _offer_restart(self, files: Sequence[Path], why: str) -> None:
        self._restart_needed = True
        how = "press r to restart" if self._interactive else "restart to apply it"
        self.screen.note(f"✎ {self._shown(files[0])} {why}: {how}")

    def _settings_changed(self) -> bool:
        try:
            fresh = resolve_settings(self._project, {}, os.environ)
        except BadSetting as error:
            self.screen.note(f"error: {error}")
            return False
        given = {name for name, origin in self._settings.origins.items() if origin.source is Source.FLAG}
        return fresh.values(without=given) != self._settings.values(without=given)

    def _data_changed(self, commit: Commit) -> None:
        if self._awaited.concerned(commit):
            self._retry_later()

    def _variables_changed(self, names: frozenset[str]) -> None:
        if not names.isdisjoint(self._host.variables_read):
            self._loop.call_soon(self._reload_soon, (), context=self._context)

    def _retry_later(self) -> None:
        if self._retry is None:
            self._retry = self._loop.call_later(self._awaited.delay, self._retry_now, context=self._context)

    def _retry_now(self) -> None:
        self._retry = None
        if not self._awaited.waits:
            return
        if self._reloading is not None and not self._reloading.done():
            self._retry_later()  # that one may have looked before the change
            return
        self._is_retry = True
        self._reload_soon(())

    def _blocked(self, blocked: Blocked) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.screen.blocked, blocked)

    def _keep_files_current(self) -> None:
        """`.env.local` and `.gitignore`; a deployment in memory leaves no traces."""
        if self._sockets is None or self._host.options.memory:
            return
        try:
            update_env_local(self._project, self._variables())
            extend_gitignore(self._project)
        except OSError as error:
            self.screen.note(f"cannot write {error.filename}: {error.strerror}")

    def _variables(self) -> dict[str, str]:
        return env_local_values(self._project, self._host.urls.cloud, self._host.urls.site)

    # -- keys and commands -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _keys(self) -> Generator[None, None, None]:
        if not self._interactive:
            yield
            return
        from pyconvex_cli.keys import listening

        with listening(self._press):
            yield

    def _press(self, key: str) -> None:
        match key.lower():
            case "q" | "\x04":
                self._leave(DONE)
            case "r" if self._restart_needed:
                self._leave(RESTART)
            case "r":
                self._reload_soon(())
            case _:
                assert self._text is not None, "keys are read only where text is shown"
                self._text.press(key)

    async def _run_function(self, path: str) -> None:
        call: dict[str, object] = {"path": path, "args": {}, "format": "convex_encoded_json"}
        try:
            answer = await ask(self._host, "POST", "/api/function", call)
            failure = None if answer["status"] == "success" else answer["errorMessage"]
        except Refused as refused:
            failure = refused.message
        self.screen.note(f"✔ finished running {path}" if failure is None else f"error: {path} failed: {failure}")
        if failure is not None and not self._options.stays:
            self._leave(FAILED)

    async def _run_command(self, command: str) -> None:
        """A command beside the server, which ends with it; and it ends with the server."""
        from pyconvex_cli.companion import Companion, remedy

        self._keep_files_current()
        environment = self._variables() | ({"FORCE_COLOR": "1"} if self._has_colours else {})
        companion = Companion(command, self._project, environment, partial(self.screen.output, command))
        self._leave.at_once = companion.kill
        self.screen.note(f"▶ {command}")
        code = await companion.run()
        self.screen.ended(command, code, remedy(command, code, self._project))
        self._leave(code)

    # -- small things ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _rows_held(self, *, always: bool = False) -> Generator[None, None, None]:
        """No rows while a version is shown, unless the user wants them `always`; at the start they come last."""
        wanted = always or self._settings.tail_logs is TailLogs.PAUSE_ON_DEPLOY
        if self._text is None or not wanted:
            yield
            return
        self._text.hold(True)
        try:
            yield
        finally:
            self._text.hold(False)

    def _background(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._project).as_posix() if path.is_relative_to(self._project) else str(path)
