"""`pyconvex dev`, its start: open, bind, load, serve. What it does from then on is in `session.py`.

The order matters: requests are answered before anything is imported that only shows, watches or writes files.
"""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Coroutine, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pyconvex.errors import LoadFailed
from pyconvex.host import Host, HostOptions, Reloaded, Sockets
from pyconvex.settings import Settings
from pyconvex_cli.snapshot import snapshot

if TYPE_CHECKING:
    from pyconvex_cli.console import Console

T = TypeVar("T")

DONE, FAILED, INTERRUPTED, RESTART = 0, 1, 130, -1


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


class Leaving:
    """The end of a session, whoever brings it about: a signal, a key, a command that ended. The first one counts."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()

    def __call__(self, code: int) -> None:
        """Leave with this exit code."""
        if not self._code.done():
            self._code.set_result(code)

    @property
    def code(self) -> int | None:
        """The exit code, once it is known."""
        return self._code.result() if self._code.done() else None

    async def wait(self, *tasks: "asyncio.Future[Any]") -> None:
        """Until it is time to leave, or one of `tasks` has ended."""
        await asyncio.wait({self._code, *tasks}, return_when=asyncio.FIRST_COMPLETED)

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`; None when it is time to leave before that is there."""
        task = asyncio.ensure_future(work)
        await self.wait(task)
        if task.done():
            return task.result()
        task.cancel()
        return None

    @contextlib.contextmanager
    def on_signals(self) -> Generator[None, None, None]:
        """Ctrl-C and its relatives end the session; asked twice, it waits for nothing."""
        if sys.platform == "win32":
            yield  # Ctrl-C arrives as KeyboardInterrupt there
            return
        codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: DONE, signal.SIGHUP: DONE}
        for number, code in codes.items():
            self._loop.add_signal_handler(number, self._signalled, code)
        try:
            yield
        finally:
            for number in codes:
                self._loop.remove_signal_handler(number)

    def _signalled(self, code: int) -> None:
        if self._code.done() and code == INTERRUPTED:
            os._exit(INTERRUPTED)
        self(code)


async def develop(project: Path, settings: Settings, options: DevOptions, console: "Console", began: float) -> int:
    """Runs the development server; `began` is when the command started (`time.perf_counter`).

    Answers with the exit code, or `RESTART`. Raises `StartFailed`.
    """
    host_options = HostOptions.from_settings(project, settings)
    async with Host.open(replace(host_options, memory=options.ephemeral)) as host:
        leaving = Leaving()
        with leaving.on_signals(), _bound(host, settings, options) as sockets:
            known = snapshot(host.options.functions_folder)
            first = await leaving.unless(first_load(host))
            if first is None:
                return leaving.code or DONE
            async with _serving(host, sockets) as server:
                took = time.perf_counter() - began
                await asyncio.to_thread(importlib.import_module, "pyconvex_cli.session")
                from pyconvex_cli.session import DevSession

                session = DevSession(host, sockets, settings, options, console, leaving)
                return await session.run(first, took, known, server)


async def first_load(host: Host) -> Reloaded | LoadFailed:
    """Load, for the first time or again; a failure is an outcome like any other."""
    try:
        return await host.reload()
    except LoadFailed as failed:
        return failed


@contextlib.contextmanager
def _bound(host: Host, settings: Settings, options: DevOptions) -> Generator[Sockets | None, None, None]:
    """The listening sockets, where something is to be served."""
    if not options.stays:
        yield None
        return
    sockets = host.bind(settings.host, settings.port, settings.site_port)
    try:
        yield sockets
    finally:
        sockets.close()


@contextlib.asynccontextmanager
async def _serving(host: Host, sockets: Sockets | None) -> AsyncGenerator["asyncio.Task[None] | None", None]:
    """The running server, if there is one."""
    if sockets is None:
        yield None
        return
    shutdown = asyncio.Event()
    server = asyncio.create_task(host.serve(sockets, shutdown), name="serve")
    await asyncio.sleep(0)
    try:
        yield server
    finally:
        shutdown.set()
        await asyncio.wait({server})
    server.result()
