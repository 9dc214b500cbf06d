"""An HTTP client for an ASGI application in the same process."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from pyconvex.engine.auth.identity import Identity
from pyconvex.functions.fetch.request import Request
from pyconvex.functions.fetch.response import Response
from pyconvex.http.actions import ASSUMED_IDENTITY
from pyconvex.http.asgi import Asgi, Message, Scope

_WITHOUT_BODY = frozenset({204, 205, 304})


class ResponseCut(ConnectionError):
    """The server ended a response before it was complete."""


class InProcessClient:
    """Sends requests to `app` as if they had come in on `port`."""

    def __init__(self, app: Asgi, port: int) -> None:
        self._app = app
        self._port = port

    async def send(self, request: Request, *, identity: Identity | None = None) -> Response:
        """The response; one of unknown length streams from the application while it is read."""
        exchange = _Exchange(await request.bytes())
        scope = self._scope(request, exchange.body)
        if identity is not None:
            scope[ASSUMED_IDENTITY] = identity
        task = asyncio.ensure_future(self._app(scope, exchange.receive, exchange.send))
        await asyncio.wait({task, exchange.head}, return_when=asyncio.FIRST_COMPLETED)
        if not exchange.head.done():
            await task
            raise ResponseCut("the application sent no response")
        head = exchange.head.result()
        headers = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in head["headers"]]
        streams = not any(name == "content-length" for name, _ in headers)
        body: AsyncIterator[bytes] | bytes | None = exchange.chunks(task)
        if head["status"] in _WITHOUT_BODY or request.method == "HEAD" or not streams:
            body = b"".join([chunk async for chunk in body])
        return Response(body or None if isinstance(body, bytes) else body, status=head["status"], headers=headers)

    def _scope(self, request: Request, body: bytes) -> Scope:
        url = request.url
        headers = [(b"host", url.host.encode()), *request.headers.encoded()]
        if body:
            headers.append((b"content-length", b"%d" % len(body)))
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.protocol.removesuffix(":"),
            "path": unquote(url.pathname),
            "raw_path": url.pathname.encode(),
            "query_string": url.search.removeprefix("?").encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", self._port),
            "state": {},
            "extensions": {},
        }
        return scope


class _Exchange:
    """The server's side of one request."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.head: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._parts: asyncio.Queue[Message] = asyncio.Queue()
        self._handed_over = False
        self._never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def receive(self) -> Message:
        if self._handed_over:
            return await asyncio.shield(self._never)  # the client stays until it has the whole response
        self._handed_over = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.head.set_result(message)
        else:
            await self._parts.put(message)

    async def chunks(self, task: asyncio.Future[None]) -> AsyncIterator[bytes]:
        """The body's parts as they are sent; raises `ResponseCut` when the application ends without the last one."""
        while True:
            waiting = asyncio.ensure_future(self._parts.get())
            await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                raise ResponseCut("the response was cut off before its end")
            part = waiting.result()
            if part.get("body"):
                yield part["body"]
            if not part.get("more_body", False):
                await task
                return
