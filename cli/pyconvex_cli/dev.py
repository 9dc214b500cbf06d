"""`pyconvex dev`: watch, load, swap, serve, and say what happens.

Decisions are here, appearance is in `screen.py`. The order of the start matters: sockets are bound and the functions
loaded, then requests are served, and only then is imported what showing and watching need.
"""

import asyncio
import contextlib
import contextvars
import importlib
import os
import signal
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pyconvex.errors import LoadFailed, Problem, Remedy
from pyconvex.host import Host, HostOptions, Reloaded, Sockets
from pyconvex.settings import BadSetting, Settings, TailLogs, resolve_settings
from pyconvex.store.store import SchemaChange
from pyconvex_cli.console import Console
from pyconvex_cli.deployment import Refused
from pyconvex_cli.embedded import ask
from pyconvex_cli.env_local import env_local_values, update_env_local
from pyconvex_cli.generated import write_generated
from pyconvex_cli.gitignore import extend_gitignore
from pyconvex_cli.screen import JsonScreen, Screen, Session, TextScreen
from pyconvex_cli.watcher import Matter, Stamp, Watched, Watcher

DONE, FAILED, INTERRUPTED, RESTART = 0, 1, 130, -1
ECHO_SECONDS = 0.2
RETRY_SECONDS = 0.25
"""How long after a change of the data a save that the data refused is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevOptions:
    """What the command line asked for, besides settings."""

    once: bool = False
    until_success: bool = False
    start: str | None = None
    run: str | None = None
    codegen: bool = True
    ephemeral: bool = False
    json: bool = False
    verbose: bool = False

    @property
    def stays(self) -> bool:
        """Whether it serves until it is stopped."""
        return not (self.once or self.until_success)


async def develop(project: Path, settings: Settings, options: DevOptions, console: Console, began: float) -> int:
    """Runs the development server; `began` is when the command started (`time.perf_counter`).

    Answers with the exit code, or `RESTART`. Raises `StartFailed`.
    """
    host_options = HostOptions.from_settings(project, settings)
    if options.ephemeral:
        host_options = replace(host_options, memory=True)
    async with Host.open(host_options) as host:
        sockets = host.bind(settings.host, settings.port, settings.site_port) if options.stays else None
        with contextlib.ExitStack() as closing:
            if sockets is not None:
                closing.callback(sockets.close)
            return await Developer(host, settings, options, console, sockets).run(began)


class Developer:
    """One development session on an open host."""

    def __init__(
        self, host: Host, settings: Settings, options: DevOptions, console: Console, sockets: Sockets | None
    ) -> None:
        self._host = host
        self._settings = settings
        self._options = options
        self._sockets = sockets
        self._project = host.options.project
        self._watched = Watched(self._project, host.options.functions_folder)
        interactive = options.stays and not options.json and console.interactive
        session = Session(
            root=self._project,
            data="" if host.options.memory else settings.data,
            urls=(sockets.api_url, sockets.site_url) if sockets else None,
            interactive=interactive,
        )
        self._interactive = interactive
        self._text = None if options.json else _text_screen(console, session, settings, options)
        self.screen: Screen = self._text or JsonScreen(console, session)
        self._loop = asyncio.get_running_loop()
        self._leaving: asyncio.Future[int] = self._loop.create_future()
        self._saved: dict[Path, None] = {}
        self._reloading: asyncio.Task[None] | None = None
        self._served_since: float | None = None
        self._remedies: frozenset[Remedy] = frozenset()
        self._outcome: tuple[Sequence[Problem] | None, float] = (None, 0.0)
        self._restart_needed = False
        self._started: asyncio.subprocess.Process | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        # commits are told of while a function runs; a reload must not run as a part of it
        self._context = contextvars.copy_context()

    async def run(self, began: float) -> int:
        """The session from the first load to its end; answers with the exit code or `RESTART`."""
        with self._signals():
            before = self._watched.snapshot()
            first = await self._or_leaving(self._load())
            if first is None:
                return self._leaving.result()
            shutdown = asyncio.Event()
            serving = self._serve(shutdown)
            try:
                await asyncio.sleep(0)
                await self._show_first(first, time.perf_counter() - began)
                if not self._leaving.done():
                    await self._stay(before, serving)
                return self._leaving.result()
            finally:
                await self._end(shutdown, serving)

    def leave(self, code: int) -> None:
        """End the session with this exit code; the first one counts."""
        if not self._leaving.done():
            self._leaving.set_result(code)

    # -- loading ---------------------------------------------------------------------------------------------------

    async def _load(self) -> Reloaded | LoadFailed:
        try:
            reloaded = await self._host.reload()
        except LoadFailed as failed:
            self._remedies = frozenset(problem.remedy for problem in failed.problems)
            return failed
        self._remedies = frozenset()
        self._served_since = time.time()
        self._watched.outside = reloaded.outside
        return reloaded

    async def _show_first(self, first: Reloaded | LoadFailed, seconds: float) -> None:
        # rich, the tables and the rows: the server answers meanwhile
        await asyncio.to_thread(_prepare)
        self.screen.opened()
        if isinstance(first, LoadFailed):
            self.screen.failed(first.problems, (), None)
            if self._options.once:
                self.leave(FAILED)
        else:
            await self._write_generated(first)
            self.screen.ready(first, seconds)
            await self._succeeded()
        if self._options.once:
            self.leave(DONE)

    async def _succeeded(self) -> None:
        """What waits for the first version that can be served."""
        run, start = self._options.run, self._options.start
        if run is not None:
            self._options = replace(self._options, run=None)
            await self._run_function(run)
        if self._options.until_success:
            self.leave(DONE)
        elif start is not None and not self._options.once:
            self._options = replace(self._options, start=None)
            self._started = await asyncio.create_subprocess_shell(start, env=self._environment_for_command())
            self._background(self._leave_with(self._started))

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
        loaded = await self._load()
        is_echo = self._is_echo(loaded)
        if isinstance(loaded, LoadFailed):
            if not is_echo:
                self.screen.failed(loaded.problems, names, still)
            return
        self._watcher.outside(loaded.outside)
        if not is_echo:
            self.screen.reloaded(loaded, names)
        await self._write_generated(loaded)
        if still is None:
            await self._succeeded()

    @contextlib.contextmanager
    def _rows_held(self) -> Generator[None, None, None]:
        if self._text is None or self._settings.tail_logs is not TailLogs.PAUSE_ON_DEPLOY:
            yield
            return
        self._text.hold(True)
        try:
            yield
        finally:
            self._text.hold(False)

    def _is_echo(self, loaded: Reloaded | LoadFailed) -> bool:
        """Whether this only repeats what was just said: systems may tell of one save in several pieces."""
        outcome = loaded.problems if isinstance(loaded, LoadFailed) else None
        changed = isinstance(loaded, Reloaded) and (loaded.changes or loaded.schema != SchemaChange())
        before, self._outcome = self._outcome, (outcome, time.monotonic())
        return not changed and before[0] == outcome and self._outcome[1] - before[1] < ECHO_SECONDS

    async def _write_generated(self, reloaded: Reloaded) -> None:
        if not self._options.codegen:
            return
        try:
            await asyncio.to_thread(write_generated, self._watched.functions, reloaded.generated)
        except OSError as error:
            self.screen.note(f"cannot write {error.filename}: {error.strerror}")

    # -- staying ---------------------------------------------------------------------------------------------------

    def _serve(self, shutdown: asyncio.Event) -> asyncio.Task[None] | None:
        if self._sockets is None:
            return None
        if self._settings.tail_logs is not TailLogs.DISABLE or self._options.json:
            self._host.logs.subscribe(self.screen.logged)
        self._host.store.on_commit(self._data_changed)
        return asyncio.create_task(self._host.serve(self._sockets, shutdown), name="serve")

    async def _stay(self, before: Mapping[Path, Stamp], serving: asyncio.Task[None] | None) -> None:
        from pyconvex.engine.watchdog import Watchdog

        self._watcher = Watcher(self._watched, self._changed)
        watchdog = Watchdog(self._loop, self._blocked, self._project)
        await asyncio.to_thread(self._watcher.start, before)
        self._keep_files_current()
        watchdog.start()
        try:
            with self._keys():
                await asyncio.wait({self._leaving, *filter(None, [serving])}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watchdog.stop()
            await asyncio.to_thread(self._watcher.stop)
        if serving is not None and serving.done():
            serving.result()  # it ended by itself: say why

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
        given = {name for name, origin in self._settings.origins.items() if str(origin).startswith("--")}
        return _without(fresh, given) != _without(self._settings, given)

    def _data_changed(self, commit: object) -> None:
        if self._remedies & {Remedy.CHANGE_DATA, Remedy.SET_VARIABLE}:
            self._remedies = frozenset()
            self._loop.call_later(RETRY_SECONDS, self._reload_soon, (), context=self._context)

    def _blocked(self, blocked: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.screen.blocked, blocked)

    def _keep_files_current(self) -> None:
        """`.env.local` and `.gitignore`; a deployment in memory leaves no traces."""
        if self._sockets is None or self._host.options.memory:
            return
        values = env_local_values(self._project, self._sockets.api_url, self._sockets.site_url)
        try:
            update_env_local(self._project, values)
            extend_gitignore(self._project)
        except OSError as error:
            self.screen.note(f"cannot write {error.filename}: {error.strerror}")

    # -- keys, signals, commands -----------------------------------------------------------------------------------

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
                self.leave(DONE)
            case "r" if self._restart_needed:
                self.leave(RESTART)
            case "r":
                self._reload_soon(())
            case _:
                assert self._text is not None, "keys are read only where text is shown"
                self._text.press(key)

    @contextlib.contextmanager
    def _signals(self) -> Generator[None, None, None]:
        codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: DONE}
        if sys.platform == "win32":
            yield  # Ctrl-C arrives as KeyboardInterrupt there
            return
        codes[signal.SIGHUP] = DONE
        for number, code in codes.items():
            self._loop.add_signal_handler(number, self._interrupt, code)
        try:
            yield
        finally:
            for number in codes:
                self._loop.remove_signal_handler(number)

    def _interrupt(self, code: int) -> None:
        if self._leaving.done() and code == INTERRUPTED:
            os._exit(INTERRUPTED)  # asked twice: do not wait for anything
        self.leave(code)

    async def _run_function(self, path: str) -> None:
        call: dict[str, object] = {"path": path, "args": {}, "format": "convex_encoded_json"}
        try:
            answer = await ask(self._host, "POST", "/api/function", call)
        except Refused as refused:
            self.screen.note(f"error: cannot run {path}: {refused.message}")
            return
        failed = answer["status"] != "success"
        self.screen.note(f"error: {path} failed: {answer['errorMessage']}" if failed else f"✔ finished running {path}")
        if failed and not self._options.stays:
            self.leave(FAILED)

    async def _leave_with(self, process: asyncio.subprocess.Process) -> None:
        self.leave(await process.wait())

    def _environment_for_command(self) -> dict[str, str]:
        urls = self._host.urls
        return {**os.environ, **env_local_values(self._project, urls.cloud, urls.site)}

    # -- ending ----------------------------------------------------------------------------------------------------

    async def _end(self, shutdown: asyncio.Event, serving: asyncio.Task[None] | None) -> None:
        shutdown.set()
        for task in self._tasks:
            task.cancel()
        if self._started is not None and self._started.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._started.terminate()
        if serving is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await serving
        self.screen.close()

    async def _or_leaving(self, work: Any) -> Any:
        """The result of `work`, or None when the user leaves before it is there."""
        task = asyncio.ensure_future(work)
        await asyncio.wait({task, self._leaving}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        return None

    def _background(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._project).as_posix() if path.is_relative_to(self._project) else str(path)


def _text_screen(console: Console, session: Session, settings: Settings, options: DevOptions) -> TextScreen:
    rows = settings.tail_logs is not TailLogs.DISABLE
    return TextScreen(console, session, rows=rows, verbose=options.verbose)


def _prepare() -> None:
    for module in ("tables", "log_rows", "log_view"):
        importlib.import_module(f"pyconvex_cli.{module}")


def _without(settings: Settings, names: set[str]) -> dict[str, object]:
    """Every value by name, without those that the command line gave."""
    limits = {f"limits.{name}": value for name, value in asdict(settings.limits).items()}
    values = {name: getattr(settings, name) for name in ("host", "port", "site_port", "functions", "data", "tail_logs")}
    return {name: value for name, value in (values | limits).items() if name not in names}
