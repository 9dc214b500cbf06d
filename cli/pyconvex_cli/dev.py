"""`pyconvex dev`, its start: open, bind, load, serve. What it does from then on is in `session.py`.

The order matters: requests are answered before anything is imported that only shows, watches or writes files.
"""

import asyncio
import contextlib
import importlib
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pyconvex.errors import LoadFailed
from pyconvex.host import Host, HostOptions, Reloaded, Sockets, collect_seldom
from pyconvex.settings import Settings
from pyconvex_cli.leaving import DONE, Leaving
from pyconvex_cli.snapshot import snapshot

if TYPE_CHECKING:
    from pyconvex.store.schema.progress import Progress, Report
    from pyconvex_cli.console import Console
    from pyconvex_cli.work import WorkDisplay

FAILED, RESTART = 1, -1


class DevOptions(Struct, frozen=True, kw_only=True):
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


async def develop(project: Path, settings: Settings, options: DevOptions, console: "Console", began: float) -> int:
    """Runs the development server; `began` is when the command started (`time.perf_counter`).

    Answers with the exit code, or `RESTART`. Raises `StartFailed`.
    """
    host_options = HostOptions.from_settings(project, settings)
    async with Host.open(replace(host_options, memory=options.ephemeral, journal=True)) as host:
        if options.ephemeral:
            collect_seldom()  # elsewhere deployments in memory share their process with tests
        host.store.report = _shown_on(console, json=options.json)
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


def _shown_on(console: "Console", *, json: bool) -> "Report":
    """Shows long work on stored documents; most starts have none, and need not import what shows it."""
    display: WorkDisplay | None = None

    def show(progress: "Progress") -> None:
        nonlocal display
        if display is None:
            from pyconvex_cli.work import WorkDisplay

            display = WorkDisplay(console, json=json)
        display.show(progress)

    return show


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
