"""What goes out on one WebSocket, in order, as fast as its client reads."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

UNREAD_BYTES_MAX: Final = 256 * 1024
"""How much may wait for a client to read it; while there is more, nothing that it asks for is begun."""


class Socket(Protocol):
    """One WebSocket, accepted or not yet; texts to send are UTF-8."""

    path: str

    @property
    def client_ip(self) -> str | None: ...
    def header(self, name: bytes, /) -> bytes | None: ...
    async def accept(self) -> None: ...
    async def refuse(self, status: int) -> None: ...

    async def receive(self) -> str | None:
        """The next message, None behind the last one. Raises `PyconvexError` for one that is no text."""
        ...

    def push(self, text: bytes) -> bool:
        """Send it if that takes no waiting; False when nothing was sent."""
        ...

    async def send(self, text: bytes) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class _Waiting(NamedTuple):
    text: bytes
    sent: Callable[[], None] | None


class Outbox:
    """Sends at once what it can, and keeps the rest until the client has caught up."""

    __slots__ = ("_closing", "_sending", "_socket", "_waiting", "waiting_bytes")

    def __init__(self, socket: Socket) -> None:
        self.waiting_bytes = 0
        self._socket = socket
        self._waiting: list[_Waiting] = []
        self._closing: tuple[int, str] | None = None
        self._sending: asyncio.Task[None] | None = None

    def put(self, text: bytes, sent: Callable[[], None] | None = None) -> bool:
        """Send `text`, and say whether that was possible at once; if not, `sent` is called when it was done."""
        if not self._waiting and self._socket.push(text):
            return True
        self._waiting.append(_Waiting(text, sent))
        self.waiting_bytes += len(text)
        self._send_rest()
        return False

    def offer(self, text: bytes) -> None:
        """Send `text`, unless there is something else that the client has not read yet."""
        if not self._waiting:
            self.put(text)

    def close(self, code: int, reason: str) -> None:
        """Close the WebSocket behind what is on its way."""
        self._closing = (code, reason)
        self._send_rest()

    async def room(self) -> None:
        """Wait while the client has more than `UNREAD_BYTES_MAX` to read."""
        while self.waiting_bytes > UNREAD_BYTES_MAX and self._sending is not None:
            await asyncio.wait([self._sending])

    def drop(self) -> None:
        """Nobody is there any more to send to."""
        self._waiting.clear()
        self.waiting_bytes = 0
        if self._sending is not None:
            self._sending.cancel()

    def _send_rest(self) -> None:
        if self._sending is None:
            # An empty context: what is sent is no part of whatever set it off.
            self._sending = asyncio.create_task(self._send_waiting(), context=Context())

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                text, sent = self._waiting[0]
                await self._socket.send(text)
                del self._waiting[0]
                self.waiting_bytes -= len(text)
                if sent is not None:
                    sent()
            if self._closing is not None:
                await self._socket.close(*self._closing)
        finally:
            self._sending = None
