"""One request to an HTTP action, from its routing until its body is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from .execution import Execution
from .logs import Level

if TYPE_CHECKING:
    from types import TracebackType

    from ..functions.fetch.request import Request
    from ..functions.fetch.response import Response
    from ..functions.function import RegisteredFunction
    from .context import ActionCtx


class HttpExecution:
    """Enter it, `respond`, send the body, `finish`, leave.

        async with runner.http_action(registry, handler, call, "POST /x", request="POST /x") as running:
            response = await running.respond(request)
            async for chunk in running.chunks(body): ...
            running.finish(status=response.status)
    """

    ctx: ActionCtx
    execution: Execution

    async def __aenter__(self) -> HttpExecution:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def respond(self, request: Request) -> Response:
        """Runs the handler. Raises `FunctionFailed` when it raised, took too long, or returned no Response."""
        raise NotImplementedError

    def chunks(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body of a streaming response, under the action's time limit.

        Raises `FunctionFailed` when producing it fails; the log has the error then.
        """
        raise NotImplementedError

    def warn(self, level: Level, text: str, code: str) -> None:
        """A log line of the server's own about this request, such as a body over its limit (semantics 2.9)."""
        raise NotImplementedError

    def finish(self, *, status: int | None, error: str | None = None, note: str | None = None) -> None:
        """Logs the request. `status` is what was sent, None when nothing was."""
        raise NotImplementedError
