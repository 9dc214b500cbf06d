"""`ConvexTest`: a deployment in memory for the tests of a project (https://docs.convex.dev/testing/convex-test)."""

import asyncio
import hashlib
import json as json_module
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self, cast, overload

from pyconvex.clock import ManualClock, request_id
from pyconvex.engine.auth.identity import ANONYMOUS, Identity, user
from pyconvex.engine.database.access import AccessReport
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.runner import Outcome
from pyconvex.functions.fetch.body import BodyInit
from pyconvex.functions.fetch.headers import Headers, HeadersInit
from pyconvex.functions.fetch.request import Request
from pyconvex.functions.fetch.response import Response
from pyconvex.functions.function import Kind, RegisteredFunction
from pyconvex.functions.references import FunctionReference
from pyconvex.host import Host, HostOptions
from pyconvex.settings import Limits

from . import time
from .client import InProcessClient
from .paths import folder_of, path_of
from .scratch import scratch

AnyFunction = str | FunctionReference[..., Any] | RegisteredFunction[..., Any]
Inline = Callable[[Any], Awaitable[Any] | Any]

SITE_URL = "https://some.convex.site"
CLOUD_URL = "https://some.convex.cloud"
SITE_PORT = 3211
API_PORT = 3210


class _Deployment:
    """What all views of one `ConvexTest` share: the host, once it is open."""

    def __init__(self, options: HostOptions, variables: Mapping[str, str]) -> None:
        self.options = options
        self.variables = variables
        self.host: Host | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._closing = AsyncExitStack()
        self._opening: asyncio.Task[Host] | None = None

    async def opened(self) -> Host:
        """The open host; the first caller opens it, everyone else waits for that."""
        if self.host is not None:
            return self.host
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> Host:
        host = await self._closing.enter_async_context(Host.open(self.options))
        try:
            host.urls.cloud, host.urls.site = CLOUD_URL, SITE_URL
            host.app.site_port = SITE_PORT
            if self.variables:
                await host.environment.set_many(dict(self.variables))
            await host.reload()
        except BaseException:
            await self._closing.aclose()
            raise
        self.host, self.loop = host, asyncio.get_running_loop()
        return host

    async def close(self) -> None:
        self.host = self._opening = None
        await self._closing.aclose()


class ConvexTest:
    """A deployment of one folder of functions: the real engine, in memory, without ports; empty at first.

        async with ConvexTest("convex") as t:
            await t.mutation("messages:send", body="hi")

    Without `async with` it opens itself at the first use; then `close()` it.

    Args:
        folder: the functions; relative to the working directory, else looked for beside the calling file and above.
        env: variables of the deployment, there when the modules are loaded.
        limits: other limits than Convex's.
        now: what time it is, as a `datetime` or in milliseconds since 1970; the machine's time by default.

    Raises (when it opens):
        LoadFailed: the folder has problems; it carries all of them.
    """

    def __init__(
        self,
        folder: str | Path = "convex",
        *,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        now: datetime | float | None = None,
    ) -> None:
        functions = folder_of(Path(folder))
        self._clock = ManualClock(now.timestamp() * 1000 if isinstance(now, datetime) else now)
        options = HostOptions(
            project=functions.parent,
            functions=Path(functions.name),
            memory=True,
            limits=limits or Limits(),
            clock=self._clock,
        )
        self._deployment = _Deployment(options, env or {})
        self._identity = ANONYMOUS

    async def __aenter__(self) -> Self:
        await self._deployment.opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @overload
    async def query(self, fn: AnyFunction, /, **args: Any) -> Any: ...
    @overload
    async def query(self, fn: Inline, /) -> Any: ...
    async def query(self, fn: AnyFunction | Inline, /, **args: Any) -> Any:
        """Run a query, public or internal, or `fn(ctx)` as one.

        Raises what the query raises, as the same exception.
        """
        return await self._call(Kind.QUERY, fn, args)

    @overload
    async def mutation(self, fn: AnyFunction, /, **args: Any) -> Any: ...
    @overload
    async def mutation(self, fn: Inline, /) -> Any: ...
    async def mutation(self, fn: AnyFunction | Inline, /, **args: Any) -> Any:
        """Run a mutation, public or internal, or `fn(ctx)` as one; what it raises undoes it and arrives here."""
        return await self._call(Kind.MUTATION, fn, args)

    @overload
    async def action(self, fn: AnyFunction, /, **args: Any) -> Any: ...
    @overload
    async def action(self, fn: Inline, /) -> Any: ...
    async def action(self, fn: AnyFunction | Inline, /, **args: Any) -> Any:
        """Run an action, public or internal, or `fn(ctx)` as one."""
        return await self._call(Kind.ACTION, fn, args)

    async def run(self, fn: Inline, /) -> Any:
        """Run `fn(ctx)` as a scratch mutation, to arrange data or to look at it: `lambda ctx: ctx.db.get(id)`.

        Unlike a mutation's, its `ctx.storage` has `store` and `get` as well.
        """
        return await self._call(Kind.MUTATION, scratch(fn), {})

    async def report(self, fn: AnyFunction, /, **args: Any) -> AccessReport:
        """Run a function and tell what it read and wrote: index ranges, documents, limits; `value` is its result.

            report = await t.report("messages:by_author", author="Ada")
            assert [read.text for read in report.reads] == ['author = "Ada"']

        Raises what the function raises.
        """
        outcome = await self._outcome(fn, args, observed=True)
        assert outcome.access is not None, "it was asked for"
        return outcome.access

    async def fetch(
        self,
        path: str,
        *,
        method: str = "GET",
        json: Any = None,
        headers: HeadersInit = None,
        body: BodyInit = None,
    ) -> Response:
        """Send a request to the HTTP actions, through the whole server but the socket.

        Args:
            path: begins with `/`, may have a query; a whole URL of the deployment works too (`storage.get_url`).
            json: sent as JSON with its content type, in place of `body`.

        Raises:
            ValueError: a path without `/`, or both `json` and `body`.
        """
        host = await self._deployment.opened()
        is_api = path.startswith(f"{CLOUD_URL}/")
        path = path.removeprefix(CLOUD_URL if is_api else SITE_URL)
        if not path.startswith("/"):
            raise ValueError(f"Path given to `t.fetch` must start with a `/`, unlike {path!r}")
        request = _request((CLOUD_URL if is_api else SITE_URL) + path, method, json, headers, body)
        client = InProcessClient(host.app, API_PORT if is_api else SITE_PORT)
        # Nobody's requests are told by their `Authorization`, as on a server.
        return await client.send(request, identity=None if self._identity is ANONYMOUS else self._identity)

    async def advance(self, *, seconds: float, max_iterations: int = 100) -> None:
        """Let time pass: it stands still otherwise. What was scheduled for meanwhile runs to its end, in order.

        Each function runs with the clock at its own time, so that what it schedules in turn falls due as it should.

        Raises:
            PyconvexError: `EndlessScheduling`, when functions schedule others for the same moment, on and on.
        """
        host = await self._deployment.opened()
        await time.advance(host.scheduler, self._clock, seconds, max_iterations)

    async def finish_scheduled_functions(self, *, max_iterations: int = 100) -> None:
        """Wait for the scheduled functions that run, and run those that are due without letting time pass.

        That includes `run_after(0, ...)`, and what such functions schedule in turn.

        Raises:
            PyconvexError: `EndlessScheduling`, when there is still more after `max_iterations` rounds.
        """
        host = await self._deployment.opened()
        await time.finish(host.scheduler, max_iterations)

    def with_identity(self, attributes: Mapping[str, Any]) -> "ConvexTest":
        """The same deployment, asked by a user with these attributes; issuer and subject are made up if missing."""
        given = json_module.dumps(dict(attributes), sort_keys=True, default=repr)
        subject = hashlib.sha256(given.encode()).hexdigest()[:16]
        return self._as(user({"issuer": "https://convex.test", "subject": subject, **attributes}))

    async def set_env(self, changes: Mapping[str, str | None]) -> None:
        """Set variables of the deployment; None removes one."""
        host = await self._deployment.opened()
        await host.environment.set_many(dict(changes))

    def module(self, name: str) -> ModuleType:
        """The loaded module `name` (`"messages"`, `"admin/reports"`), for unit tests of plain helpers.

        Raises:
            LookupError: there is none of that name, or the deployment is not open yet.
        """
        host = self._deployment.host
        if host is None:
            raise LookupError("the deployment is not open: use `async with ConvexTest(...) as t:`")
        modules = host.registry.modules
        if name not in modules:
            raise LookupError(f'Could not find module for: "{name}". There are: {", ".join(sorted(modules))}')
        return modules[name]

    async def close(self) -> None:
        """Throw the deployment away."""
        await self._deployment.close()

    def close_from_outside(self) -> None:
        """`close` for fixtures, which run when the test's loop is idle or gone."""
        loop = self._deployment.loop
        if self._deployment.host is None or loop is None:
            return
        if loop.is_closed():
            with suppress(RuntimeError):  # parts of the deployment may still know only the loop that is gone
                asyncio.run(self.close())
        else:
            loop.run_until_complete(self.close())

    def _as(self, identity: Identity) -> "ConvexTest":
        view = object.__new__(ConvexTest)
        view._deployment = self._deployment
        view._clock = self._clock
        view._identity = identity
        return view

    async def _call(self, kind: Kind, fn: AnyFunction | Inline, args: dict[str, Any]) -> Any:
        if not isinstance(fn, str | FunctionReference | RegisteredFunction):
            host = await self._deployment.opened()
            call = Call(Caller.TESTER, self._identity, request_id(host.options.clock))
            return await host.runner.inline(kind, fn, call)
        return (await self._outcome(cast("AnyFunction", fn), args, kind=kind)).value

    async def _outcome(
        self, fn: AnyFunction, args: dict[str, Any], *, kind: Kind | None = None, observed: bool = False
    ) -> Outcome:
        host = await self._deployment.opened()
        call = Call(Caller.TESTER, self._identity, request_id(host.options.clock))
        path = path_of(fn, host.registry)
        outcome = await host.runner.call(path, args, call, kind=kind, internal=True, observed=observed)
        if outcome.error is not None:
            raise outcome.error
        return outcome


def _request(url: str, method: str, json: Any, headers: HeadersInit, body: BodyInit) -> Request:
    if json is None:
        return Request(url, method=method, headers=headers, body=body)
    if body is not None:
        raise ValueError("t.fetch takes `json` or `body`, not both")
    sent = Headers(headers)
    if not sent.has("content-type"):
        sent.set("content-type", "application/json")
    return Request(url, method=method, headers=sent, body=json_module.dumps(json))
