"""The edge towards ASGI for WebSockets: messages in, messages out, clients that leave or do not read.

https://asgi.readthedocs.io/en/latest/specs/www.html#websocket, RFC 6455.
"""

from typing import Any, Protocol

from pyconvex.errors import PyconvexError

from .asgi import RawHeaders, Receive, Scope, Send, raw_path

PUSH = "pyconvex.push"
"""The ASGI extension by which our own server takes messages without a coroutine; its value is a `Push`."""

REASON_BYTES_MAX = 123
"""What fits into a close frame besides the code (RFC 6455, section 5.5)."""

NORMAL, GOING_AWAY, UNSUPPORTED_DATA = 1000, 1001, 1003
NO_STATUS = 1005
"""A close frame without a code; nothing is sent for it."""


class Push(Protocol):
    """Sends a text message, given as UTF-8, without waiting; False when the client is behind: then it was not sent."""

    def __call__(self, text: bytes) -> bool: ...


class NotText(PyconvexError):
    """The client sent a binary message, and only text is understood."""

    def __init__(self) -> None:
        super().__init__("NotText", "Binary messages are not supported")


class WebSocket:
    """One WebSocket. Nothing is sent before `accept`; `refuse` takes its place."""

    __slots__ = ("_extensions", "_receive", "_send", "header", "headers", "path", "push", "query", "scope")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.path = raw_path(scope)
        """As it was sent: percent-encoding kept, without the query."""
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: RawHeaders = scope["headers"]
        self.header = dict(reversed(self.headers)).get
        """The first header of a name: `header(b"convex-client")`, None without one."""
        self._receive = receive
        self._send = send
        self._extensions: dict[str, Any] = scope.get("extensions") or {}
        self.push: Push = self._extensions.get(PUSH, _never)
        """Send a message, given as UTF-8, if that is possible without waiting; False when nothing was sent.

        It never is with another server than ours, nor while the client has much to read still: `send` waits for that.
        """

    @property
    def port(self) -> int | None:
        """The port of this machine that it came in on."""
        server: tuple[str, int] | None = self.scope.get("server")
        return None if server is None else server[1]

    @property
    def client_ip(self) -> str | None:
        client: tuple[str, int] | None = self.scope.get("client")
        return None if client is None else client[0]

    async def accept(self) -> None:
        """Complete the handshake, without a subprotocol."""
        await self._receive()  # `websocket.connect`
        await self._send({"type": "websocket.accept"})

    async def refuse(self, status: int = 404, headers: RawHeaders | None = None, body: bytes = b"") -> None:
        """Answer the handshake with an HTTP response; with 403 and no more where the server cannot do better."""
        await self._receive()
        if "websocket.http.response" not in self._extensions:
            await self._send({"type": "websocket.close"})
            return
        head = [*(headers or ()), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": head})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def receive(self) -> str | None:
        """The next message; None when there will be none, because either side has closed.

        Raises `NotText`.
        """
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        text: str | None = message.get("text")
        if text is None:
            raise NotText
        return text

    async def send(self, text: bytes) -> None:
        """Send a message, given as UTF-8; waits while the client reads more slowly than it is sent to.

        Does nothing when the client is gone, which `receive` tells.
        """
        if not self.push(text):
            await self._send({"type": "websocket.send", "text": text.decode()})

    async def close(self, code: int = NO_STATUS, reason: str = "") -> None:
        """Close it, which ends `receive` too. `reason` is cut to what a close frame holds."""
        cut = reason.encode()[:REASON_BYTES_MAX].decode("utf-8", "ignore")
        if code == NO_STATUS and PUSH not in self._extensions:
            code = NORMAL  # servers that know no other way would refuse it
        await self._send({"type": "websocket.close", "code": code, "reason": cut})


def _never(text: bytes) -> bool:
    del text
    return False
