"""WebSocket clients that cost little: they count messages, and answer pings."""

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from typing import cast

HOST = "127.0.0.1"
CONNECT_SECONDS = 20.0
AT_ONCE = 50
"""How many connect at the same time."""

_TEXT, _PING, _PONG = 1, 9, 10


class Client(asyncio.Protocol):
    """One WebSocket; `on_message` gets the payload of every text message."""

    def __init__(self, port: int, path: str, on_message: Callable[[bytes], None]) -> None:
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._on_message = on_message
        self._received = b""
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        """The connection has ended."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not self.open.done():
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            if not separator:
                return
            if head[9:12] != b"101":
                self.open.set_exception(ConnectionError(head.decode()))
                return
            self.open.set_result(None)
            self._received = rest
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == _TEXT:
                self._on_message(payload)
            elif opcode == _PING:
                self._send(_PONG, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.open.done():
            self.open.set_exception(ConnectionError("closed"))

    def say(self, *messages: object) -> None:
        """Send messages as JSON."""
        for message in messages:
            self._send(_TEXT, json.dumps(message).encode())

    def close(self) -> None:
        self.transport.abort()

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0xFE, size)
        self.transport.write(bytes([0x80 | opcode]) + length + bytes(4) + payload)  # a mask of zeros changes nothing

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._received
        if len(data) < 2:
            return None
        start, size = 2, data[1]
        if size == 126 and len(data) >= 4:
            start, size = 4, int.from_bytes(data[2:4])
        elif size == 127 and len(data) >= 10:
            start, size = 10, int.from_bytes(data[2:10])
        elif size >= 126:
            return None
        if len(data) < start + size:
            return None
        self._received = data[start + size :]
        return data[0] & 0x0F, data[start : start + size]


async def connect(port: int, path: str, on_message: Callable[[bytes], None]) -> Client:
    """An open WebSocket."""
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: Client(port, path, on_message), HOST, port)
    await asyncio.wait_for(client.open, CONNECT_SECONDS)
    return client


async def connect_many(port: int, path: str, count: int, on_message: Callable[[bytes], None]) -> list[Client]:
    clients: list[Client] = []
    while len(clients) < count:
        some = min(AT_ONCE, count - len(clients))
        clients += await asyncio.gather(*(connect(port, path, on_message) for _ in range(some)))
    return clients


async def subscribe(client: Client, queries: list[tuple[str, object]]) -> None:
    """Begin a session of the sync protocol with these queries (path, args)."""
    client.say({"type": "Connect", "sessionId": str(uuid.uuid4()), "connectionCount": 0, "lastCloseReason": None})
    added = [
        {"type": "Add", "queryId": number, "udfPath": path, "args": [args]}
        for number, (path, args) in enumerate(queries)
    ]
    client.say({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": added})


class Arrivals:
    """Counts the messages that all clients got, and says when there are enough."""

    def __init__(self) -> None:
        self._count = 0
        self._wanted = 0
        self._done: asyncio.Future[None] | None = None
        self.last = b""

    def __call__(self, payload: bytes) -> None:
        if payload == b'{"type":"Ping"}':
            return
        self._count += 1
        self.last = payload
        if self._count == self._wanted and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def expect(self, count: int) -> "asyncio.Future[None]":
        """Done when so many messages have come from now on."""
        self._count, self._wanted = 0, count
        self._done = asyncio.get_running_loop().create_future()
        return self._done
