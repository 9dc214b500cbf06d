"""One request to an HTTP action, from its routing until its body is sent.

https://docs.convex.dev/functions/http-actions
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

from pyconvex.engine.actions import ActionRun, limited, timed_out
from pyconvex.engine.context import ActionCtx
from pyconvex.engine.execution import current
from pyconvex.engine.failures import FunctionFailed, describe
from pyconvex.engine.logs.logs import Level
from pyconvex.engine.logs.reports import report
from pyconvex.engine.outages import refusal
from pyconvex.errors import RequestRefused
from pyconvex.functions.context import RUNNING_CTX
from pyconvex.functions.fetch.response import Response
from pyconvex.functions.fetch.tee import close
from pyconvex.functions.routing.middleware import no_response
from pyconvex.store.persistence import StoreFailed

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from pyconvex.engine.execution import Execution
    from pyconvex.engine.permits import Permits
    from pyconvex.errors import BareError
    from pyconvex.functions.fetch.request import Request
    from pyconvex.functions.routing.middleware import Runnable


class HttpExecution:
    """Enter it, `respond`, send the body, `finish`, leave; all in one task:

        async with runner.http_action(registry, handler, call, "GET /x/*", request="GET /x/17") as running:
            response = await running.respond(request)
            ...
            running.finish(status=response.status)

    Entering raises `RequestRefused` 429 `TooManyConcurrentRequests` when no place is free for 10 seconds. `ctx` is what
    a mounted application finds with `current_ctx()`.
    """

    __slots__ = (
        "_action",
        "_entered",
        "_finished",
        "_function",
        "_identifier",
        "_permits",
        "_request",
        "_tokens",
        "ctx",
        "execution",
    )

    def __init__(
        self,
        execution: Execution,
        permits: Permits,
        function: Runnable | None,
        request: str | None,
    ) -> None:
        self.execution = execution
        self._action = ActionRun(execution)
        self.ctx = ActionCtx(self._action)
        self._permits = permits
        self._function = function
        self._request = request
        self._identifier = execution.identifier
        self._finished = False
        self._entered = 0.0
        self._tokens: tuple[Token[Any], Token[Any]]
        if request is not None:
            # Lines go out before their route is known to a reader, so under the path as it came.
            execution.identifier = request

    async def __aenter__(self) -> HttpExecution:
        if not self._permits.take():
            try:
                await self._permits.acquire()
            except RequestRefused as refused:
                self.finish(status=refused.status, error=refused.message, hint=refused.hint)
                raise
        self._tokens = current.set(self.execution), RUNNING_CTX.set(self.ctx)
        self._entered = self.execution.services.clock.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        execution_token, ctx_token = self._tokens
        RUNNING_CTX.reset(ctx_token)
        current.reset(execution_token)
        self._permits.release()
        if not self._finished:
            self.finish(status=None, error="Client disconnected" if error is None else _text(error, self.execution))

    async def respond(self, request: Request) -> Response:
        """Runs the handler.

        Raises `FunctionFailed` when it raised, took too long, or returned no Response: its `failure` says what to
        answer. Raises `RequestRefused` when it let one pass, of a body that is too large or a failed deployment.
        """
        assert self._function is not None, "a mounted application answers for itself"
        try:
            return await limited(self.execution, self._handled(self._function, request))
        except RequestRefused:
            raise
        except StoreFailed as error:
            raise refusal(error) from error
        except Exception as error:
            raise FunctionFailed(describe(error, self.execution.registry)) from error

    async def chunks(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body of a streaming response, under the action's time limit.

        Raises `FunctionFailed` when producing it fails, or cleaning up after that; an ERROR line about it is in the log
        then. Closing this closes the body: the generator that produces it cleans up.
        """
        until = self._deadline()
        now = asyncio.get_running_loop().time
        try:
            while True:
                try:
                    if now() >= until:  # what never waits is not interrupted, but it may be read slowly
                        raise self._timed_out()
                    chunk = await limited(self.execution, _next(body), until=until)
                except Exception as error:
                    raise self._broken_off(error) from error
                if chunk is None:
                    return
                yield chunk
        finally:
            try:
                await close(body)
            except Exception as error:
                raise self._broken_off(error) from error

    async def sent(self, sending: Awaitable[None]) -> None:
        """Awaits `sending`, the rest of a response, until the time of the action is over; the log says so then.

        The action keeps its place meanwhile, and a client may read as slowly as it likes.
        """
        try:
            async with asyncio.timeout_at(self._deadline()):
                await sending
        except TimeoutError:
            self.line(Level.ERROR, str(self._timed_out()), "error:httpAction")

    def line(self, level: Level, text: str, code: str) -> None:
        """Adds a line of the server's own about this request, such as a body over its limit."""
        self.execution.lines.add_system(level, text, code)

    def finish(
        self, *, status: int | None, error: str | None = None, hint: str | None = None, note: str | None = None
    ) -> None:
        """Ends the execution and logs it; the first call counts.

        Args:
            status: what was sent; None when nothing was.
            error: the whole text of a failure (`Failure.text`).
            hint: how to fix it.
            note: what is worth saying beside the row, without an error.
        """
        if self._finished:
            return
        self._finished = True
        self._action.end()
        self.execution.flush_lines()  # under the path as it came
        self.execution.identifier = self._identifier
        report(self.execution, error=error, hint=hint, status=status, request=self._request, note=note)

    def _timed_out(self) -> BareError:
        return timed_out(self.execution.services.limits.action_seconds)

    def _broken_off(self, error: Exception) -> FunctionFailed:
        failure = describe(error, self.execution.registry)
        self.line(Level.ERROR, failure.text, "error:httpAction")
        return FunctionFailed(failure)

    def _deadline(self) -> float:
        """When the time of the whole action is over, on the event loop's clock."""
        services = self.execution.services
        gone = services.clock.monotonic() - self._entered
        return asyncio.get_running_loop().time() + services.limits.action_seconds - gone

    async def _handled(self, function: Runnable, request: Request) -> Response:
        returned = function.handler(self.ctx, request)
        if hasattr(returned, "__await__"):
            returned = await returned
        if not isinstance(returned, Response):
            raise no_response(function.name, returned)
        return returned


async def _next(body: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(body)
    except StopAsyncIteration:
        return None


def _text(error: BaseException, execution: Execution) -> str:
    return error.failure.text if isinstance(error, FunctionFailed) else describe(error, execution.registry).text
