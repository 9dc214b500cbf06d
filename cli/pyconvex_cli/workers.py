"""`pyconvex start --workers N`: one parent that holds the addresses, and N processes that serve on them.

All workers accept from the same listening sockets, so a connection that waits is lost with none of them, and a worker
that is busy takes fewer. The parent serves nothing: it passes the workers' output on, starts them again when they die,
and tells them to end. They end by themselves when the parent is gone.
"""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any, Final

from pyconvex import __version__
from pyconvex.host import Running
from pyconvex.host.lock import announced
from pyconvex.settings import Settings
from pyconvex_cli.events import LOADED, Events
from pyconvex_cli.inherited import Inherited
from pyconvex_cli.leaving import INTERRUPTED, Leaving
from pyconvex_cli.production import CLOSING_SECONDS, FAILED, bind

STEADY_SECONDS: Final = 5.0
"""A worker that dies sooner has died at once."""
ATTEMPTS: Final = 5
"""How many may die at once, one after another and with none serving, until nothing more is tried."""
PAUSE_SECONDS: Final = (0.1, 5.0)
"""The first and the longest pause before a worker that died at once is started again."""
LINE_BYTES_MAX: Final = 64 * 2**20

_LOADED_LINE: Final = b'{"type":"%s"' % LOADED.encode()


def serve_with_workers(project: Path, settings: Settings, events: Events) -> int:
    """Serve with `settings.workers` processes; answers with the exit code. Raises `StartFailed`."""

    async def serve() -> int:
        return await Workers(project, settings, events).run()

    return asyncio.run(serve())  # not with uvloop, whose processes know no groups


class Workers:
    """The parent's side."""

    def __init__(self, project: Path, settings: Settings, events: Events) -> None:
        self._project = project
        self._settings = settings
        self._events = events
        self._leaving = Leaving(self._kill)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._serving: set[int] = set()
        """The workers that have loaded the functions, by their numbers."""
        self._has_served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._died_at_once = 0

    async def run(self) -> int:
        with self._leaving.on_signals(), ExitStack() as open_until_told:
            self._sockets = sockets = open_until_told.enter_context(closing(bind(self._settings)))
            self._events.tell("workers", count=self._settings.workers, pid=os.getpid())
            data = self._project / self._settings.data
            data.mkdir(parents=True, exist_ok=True)
            with announced(data, Running(os.getpid(), sockets.api_url, sockets.site_url, __version__)):
                # The first one alone: it activates the schema, and what is wrong with the project is said once.
                keeping = [asyncio.create_task(self._keep(1))]
                await self._leaving.wait(self._has_served, *keeping)
                if self._has_served.done():
                    keeping += [asyncio.create_task(self._keep(n)) for n in range(2, self._settings.workers + 1)]
                    await self._leaving.wait(*keeping)
                open_until_told.close()  # connections are the workers' affair from here on
                await self._end(keeping)
        code = self._leaving.code
        assert code is not None, "only that ends it"
        self._events.tell("stopped", code=code)
        return code

    async def _keep(self, number: int) -> None:
        """One worker after another in this place, until it is time to leave."""
        quick = 0
        first = number == 1
        while self._leaving.code is None:
            began = time.monotonic()
            process = await self._start(Inherited(number, *self._descriptors(), first))
            await self._follow(number, process)
            code = await process.wait()
            self._forget(number)
            if self._leaving.code is not None:
                return
            self._events.tell("died", worker=number, pid=process.pid, code=code)
            at_once = time.monotonic() - began < STEADY_SECONDS
            self._give_up_on(code, at_once=at_once)
            quick = quick + 1 if at_once else 0
            shortest, longest = PAUSE_SECONDS
            await self._leaving.unless(asyncio.sleep(min(shortest * 2 ** min(quick, 10), longest)))
            first = False

    def _give_up_on(self, code: int, *, at_once: bool) -> None:
        """End everything when a start is hopeless: the first worker never served, or none stays alive."""
        if not self._has_served.done():
            self._leaving(code if code > 0 else FAILED)  # it has said why on standard error
            return
        self._died_at_once = self._died_at_once + 1 if at_once and not self._serving else 0
        if self._died_at_once >= ATTEMPTS:
            self._events.tell("gave_up", note=f"{ATTEMPTS} workers in a row died within {STEADY_SECONDS:g} s")
            self._leaving(FAILED)

    async def _start(self, inherited: Inherited) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pyconvex_cli",
            *sys.argv[1:],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(inherited.api, inherited.site),
            process_group=0,  # Ctrl-C is the parent's to pass on
            env={**os.environ, **inherited.environment()},
            limit=LINE_BYTES_MAX,
        )
        self._processes[inherited.number] = process
        if self._leaving.code is not None:
            self._tell_to_end(process)
        return process

    def _descriptors(self) -> tuple[int, int]:
        return self._sockets.api.fileno(), self._sockets.site.fileno()

    async def _follow(self, number: int, process: asyncio.subprocess.Process) -> None:
        """Pass a worker's lines on until there are no more."""
        output = process.stdout
        assert output is not None, "it is a pipe"
        async for line in output:
            if line.endswith(b"\n"):  # else it died in the middle
                self._events.pass_on(line[:-1])
            if line.startswith(_LOADED_LINE):
                self._serving.add(number)
                if not self._has_served.done():
                    self._has_served.set_result(None)

    def _forget(self, number: int) -> None:
        self._processes.pop(number, None)
        self._serving.discard(number)

    async def _end(self, keeping: list["asyncio.Task[Any]"]) -> None:
        """Tell all workers to end, and see that they do."""
        for process in self._processes.values():
            self._tell_to_end(process)
        settings = self._settings
        seconds = settings.drain_seconds + settings.shutdown_seconds + 2 * CLOSING_SECONDS
        _, left = await asyncio.wait(keeping, timeout=seconds)
        if left:
            self._kill()
            await asyncio.wait(left)
        for task in keeping:
            task.result()

    def _tell_to_end(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(SIGINT if self._leaving.code == INTERRUPTED else SIGTERM)

    def _kill(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()
