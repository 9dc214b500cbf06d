"""The lifespans of mounted applications (https://asgi.readthedocs.io/en/latest/specs/lifespan.html).

Each version of the app that is served has its own: an application starts before its first request, and is shut down
when its version was replaced and the last of its requests has ended. Many applications have none; they just serve.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from contextvars import Context
from typing import Any, cast
from weakref import WeakKeyDictionary

from pyconvex.errors import BareError
from pyconvex.functions.routing.route import AsgiApp, Route, RouteForm
from pyconvex.loading.registry import Registry

from .asgi import Message

SHUTDOWN_SECONDS = 10.0
"""How long an application of a version that was replaced may take to shut down."""

_log = logging.getLogger("pyconvex.http")

Visible = Callable[[], AbstractContextManager[object]]


class StartupFailed(BareError):
    """A mounted application has said that it cannot start; `failure` is its traceback, as a rule."""

    def __init__(self, name: str, failure: str) -> None:
        super().__init__("MountNotStarted", f"{name} did not start: {failure.splitlines()[-1]}")


class Lifespan:
    """One application's, from `start` to `end`; it runs in a task and a context of its own, so outside of any request.

    Args:
        visible: makes the deployment's variables visible in `os.environ`.
    """

    def __init__(self, app: AsgiApp, name: str, visible: Visible) -> None:
        self.state: dict[str, Any] = {}
        """What the application wants to find in the scope of its requests."""
        self._app = app
        self._name = name
        self._visible = visible
        self._failure: str | None = None
        self._settled = asyncio.Event()
        self._ending = asyncio.Event()
        self._was_told_to_start = False
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    @property
    def runs(self) -> bool:
        """Whether there is something to end: not for an application without a lifespan."""
        return not self._task.done()

    async def started(self) -> None:
        """Wait until the application is ready, or has shown that it knows no lifespan. Raises `StartupFailed`."""
        await self._settled.wait()
        if self._failure is not None:
            raise StartupFailed(self._name, self._failure)

    async def end(self, patience: float) -> None:
        """Let the application shut down, within so many seconds."""
        self._ending.set()
        await asyncio.wait({self._task}, timeout=patience)
        if not self._task.done():
            _log.warning("%s did not shut down within %g s", self._name, patience)
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            with self._visible():
                await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # before it is ready, this is how an application says that it has no lifespan
            if self._settled.is_set() and self._failure is None:
                _log.error("%s failed outside of a request: %s: %s", self._name, type(error).__name__, error)
        finally:
            self._settled.set()

    async def _receive(self) -> Message:
        if not self._was_told_to_start:
            self._was_told_to_start = True
            return {"type": "lifespan.startup"}
        await self._ending.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._settled.set()
            case "lifespan.startup.failed":
                self._failure = str(message.get("message") or "it did not say why").strip()
                _log.error("%s did not start: %s", self._name, self._failure)
                self._settled.set()
            case "lifespan.shutdown.failed":
                _log.error("%s failed to shut down: %s", self._name, message.get("message", ""))
            case "lifespan.shutdown.complete":
                pass
            case other:
                raise RuntimeError(f"{other} is no message of the lifespan protocol")


class Lifespans:
    """Those of all versions that are alive."""

    def __init__(self, visible: Visible) -> None:
        self._visible = visible
        self._of: WeakKeyDictionary[Registry, dict[int, Lifespan]] = WeakKeyDictionary()
        self._ending: set[asyncio.Task[None]] = set()
        self._is_serving = False

    def of(self, registry: Registry, route: Route) -> Lifespan:
        """The lifespan of a mounted application, which begins now if it has not yet."""
        apps = self._of.setdefault(registry, {})
        key = id(route.handler)  # one application may be mounted twice
        if key not in apps:
            apps[key] = Lifespan(
                cast("AsgiApp", route.handler), f"The application mounted at {route.prefix}", self._visible
            )
        return apps[key]

    def start(self, registry: Registry) -> None:
        """Start the applications of this version and of all that enter later, rather than with their first requests:
        whoever only opens a deployment for one command has no use for them.
        """
        self._is_serving = True
        for route in _mounts(registry):
            self.of(registry, route)

    def entered(self, registry: Registry, retire: Callable[[], object]) -> Callable[[], object]:
        """A version is served from now on. Its `retire` is to be called through what this returns, which lets its
        applications shut down before.
        """
        if not _mounts(registry):
            return retire
        if self._is_serving:
            self.start(registry)

        def end_first() -> None:
            running = [each for each in self._of.pop(registry, {}).values() if each.runs]
            if not running:
                retire()
                return
            task = asyncio.get_running_loop().create_task(_end(running, SHUTDOWN_SECONDS, retire), context=Context())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

        return end_first

    async def close(self, patience: float) -> None:
        """Shut all of them down, within so many seconds."""
        running = [lifespan for apps in self._of.values() for lifespan in apps.values()]
        self._of.clear()
        await _end(running, patience)
        if self._ending:
            await asyncio.wait(self._ending, timeout=patience)
            for task in self._ending:
                task.cancel()


def _mounts(registry: Registry) -> list[Route]:
    routes = registry.router.routes if registry.router is not None else ()
    return [route for route in routes if route.form is RouteForm.MOUNT]


async def _end(running: Iterable[Lifespan], patience: float, afterwards: Callable[[], object] | None = None) -> None:
    try:
        await asyncio.gather(*(lifespan.end(patience) for lifespan in running))
    finally:
        if afterwards is not None:
            afterwards()
