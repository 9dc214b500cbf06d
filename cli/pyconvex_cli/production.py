"""`pyconvex start` in one process: open, load once, serve, and end in good order."""

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final, NoReturn

from msgspec.structs import replace

from pyconvex.engine.driver.watchdog import Watchdog
from pyconvex.errors import Problem
from pyconvex.host import Host, HostOptions, Sockets, bind_sockets, run
from pyconvex.host.files import is_bucket
from pyconvex.host.ports import API_PORT, SITE_PORT
from pyconvex.http.health import Phase
from pyconvex.settings import Settings
from pyconvex_cli.events import Events, Messages
from pyconvex_cli.inherited import Inherited
from pyconvex_cli.leaving import DONE, Leaving

CLOSING_SECONDS: Final = 5.0
"""What closing the database and the files may take, after everything in progress has had its time."""
FAILED: Final = 1


def bind(settings: Settings) -> Sockets:
    """The addresses of a production deployment: exactly those that were asked for, or the defaults.

    Raises `StartFailed`: somebody else has one of them.
    """
    port = API_PORT if settings.port is None else settings.port
    beside = SITE_PORT if settings.port in (None, 65535) else port and port + 1
    return bind_sockets(settings.host, port, beside if settings.site_port is None else settings.site_port)


def serve(
    project: Path,
    settings: Settings,
    events: Events,
    inherited: Inherited | None,
    began: float,
    *,
    stuck: Callable[[int], NoReturn],
) -> int:
    """Serve until a signal says to stop, or the parent of a worker has gone; answers with the exit code.

    Args:
        inherited: what a worker has from its parent; None for the only process.
        began: when the command started (`time.perf_counter`).
        stuck: ends the process when functions do not end.

    Raises:
        StartFailed: the addresses, the disk or the database cannot be used.
        LoadFailed: the functions cannot be served.
    """

    async def serve_to_the_end() -> int:
        leaving = Leaving(events.close)
        with leaving.on_signals(), ExitStack() as closing:
            if inherited is None:
                sockets = closing.enter_context(contextlib.closing(bind(settings)))
            else:
                sockets = inherited.sockets()
                closing.enter_context(_parent(leaving))
            return await Production(project, settings, events, leaving, inherited).run(sockets, began)

    return run(serve_to_the_end(), stuck=stuck)


class Production:
    """One process of a production deployment."""

    def __init__(
        self, project: Path, settings: Settings, events: Events, leaving: Leaving, inherited: Inherited | None
    ) -> None:
        self._project = project
        self._settings = settings
        self._events = events
        self._leaving = leaving
        self._alone = inherited is None or inherited.first
        self._options = replace(
            HostOptions.from_settings(project, settings),
            redact=True,
            announced=inherited is None,
            patience_seconds=settings.shutdown_seconds,
            cloud_url=settings.cloud_url,
            site_url=settings.site_url,
        )

    async def run(self, sockets: Sockets, began: float) -> int:
        """Serve until it is time to leave; answers with the exit code."""
        urls = sockets.api_url, sockets.site_url
        database = "postgresql" if self._options.shared else "sqlite"
        self._events.starting(self._project.name, os.getpid(), urls, database)
        async with AsyncExitStack() as closing:
            closing.enter_context(self._messages())
            host = await self._leaving.unless(closing.enter_async_context(Host.open(self._options)))
            if host is not None:
                await self._serve(host, sockets, began)
        code = self._leaving.code
        self._events.tell("stopped", code=FAILED if code is None else code)
        return FAILED if code is None else code

    async def _serve(self, host: Host, sockets: Sockets, began: float) -> None:
        host.app.phase = Phase.STARTING
        host.logs.subscribe(self._events.logged)
        host.store.report = self._events.progressed
        async with self._server(host, sockets) as server:
            first = await self._leaving.unless(host.reload())
            if first is not None:
                host.app.phase = Phase.SERVING
                self._events.loaded(first, time.perf_counter() - began)
                await self._warn_of_others(host)
                with Watchdog(asyncio.get_running_loop(), self._events.blocked, self._project):
                    await self._leaving.wait(server)
            await self._drain(host)

    @contextlib.asynccontextmanager
    async def _server(self, host: Host, sockets: Sockets) -> AsyncGenerator["asyncio.Task[None]", None]:
        shutdown = asyncio.Event()
        server = asyncio.create_task(host.serve(sockets, shutdown), name="serve")
        try:
            yield server
        finally:
            shutdown.set()
            await asyncio.wait({server})
        server.result()

    async def _drain(self, host: Host) -> None:
        """Say that it ends, and serve on until load balancers have noticed, if they are given the time."""
        host.app.phase = Phase.STOPPING
        code = self._leaving.code
        self._events.tell("stopping", reason=self._leaving.reason or "its parent has ended")
        self._end_in_time(code or DONE)
        if code == DONE and self._settings.drain_seconds:
            await asyncio.sleep(self._settings.drain_seconds)

    def _end_in_time(self, code: int) -> None:
        """A function or a database that holds up the end does so for a limited time only."""
        seconds = self._settings.drain_seconds + self._settings.shutdown_seconds + CLOSING_SECONDS

        def end() -> None:
            self._events.tell("stopped", code=code, note=f"not everything has ended within {seconds:g} s")
            self._events.close()
            os._exit(code)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()

    @contextlib.contextmanager
    def _messages(self) -> Generator[None, None, None]:
        handler = Messages(self._events)
        logging.root.addHandler(handler)
        try:
            yield
        finally:
            logging.root.removeHandler(handler)

    async def _warn_of_others(self, host: Host) -> None:
        """Stored files on this machine's disk: other machines do not see them."""
        alone = not self._options.shared or not self._alone
        if alone or is_bucket(self._options.storage) or len(await host.store.living()) < 2:
            return
        folder = self._settings.storage or f"{self._settings.data}/files"
        self._events.warn(
            [
                Problem(
                    "FilesAreLocal",
                    f"other processes use this database, and stored files are kept in {folder} of each machine",
                    hint="if functions store files, keep them in a bucket: --storage s3://BUCKET/PREFIX",
                )
            ]
        )


@contextlib.contextmanager
def _parent(leaving: Leaving) -> Generator[None, None, None]:
    """A worker ends with its parent, whose end closes the pipe that is the worker's standard input."""
    loop, pipe = asyncio.get_running_loop(), sys.stdin.fileno()

    def hear() -> None:
        if not os.read(pipe, 1):
            loop.remove_reader(pipe)
            leaving(DONE)

    loop.add_reader(pipe, hear)
    try:
        yield
    finally:
        loop.remove_reader(pipe)
