"""A WebSocket client that says exactly what a test wants to say, frame by frame."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server answered {status}")
        self.status = status


class Socket:
    """An open WebSocket. Pings are answered while somebody receives, unless `mute`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self.reader = reader
        self.writer = writer
        self.head = head
        """The server's answer to the handshake."""
        self.mute = False
        self.pings = 0
        self.close: CloseConnection | None = None
        """The server's close frame, when it has come."""
        self._connection = Connection(ConnectionType.CLIENT)
        self._events: list[Event] = []
        self._text = ""

    def send(self, event: Event) -> None:
        self.writer.write(self._connection.send(event))

    def say(self, message: str | object) -> None:
        """Send a text; anything else as JSON."""
        self.send(TextMessage(message if isinstance(message, str) else json.dumps(message)))

    def say_bytes(self, data: bytes) -> None:
        self.send(BytesMessage(data))

    async def text(self) -> str | None:
        """The next message; None when the connection has ended, with a close frame or without."""
        while True:
            for event in self._take():
                if isinstance(event, TextMessage):
                    self._text += event.data
                    if event.message_finished:
                        text, self._text = self._text, ""
                        return text
            if not await self._more():
                return None

    async def json(self) -> Any:
        """The next message, decoded."""
        text = await self.text()
        assert text is not None, f"closed: {self.close}"
        return json.loads(text)

    async def closed(self) -> CloseConnection | None:
        """The server's close frame, after everything that came before it; None for a connection that broke off."""
        while await self.text() is not None:
            pass
        return self.close

    def abort(self) -> None:
        self.writer.transport.abort()

    def _take(self) -> list[Event]:
        """The events up to the next text."""
        texts = (number for number, event in enumerate(self._events, 1) if isinstance(event, TextMessage))
        taken = next(texts, len(self._events))
        events, self._events = self._events[:taken], self._events[taken:]
        return events

    async def _more(self) -> bool:
        """Read what there is; False at the end."""
        if self.close is not None:
            return False
        data = b""
        with contextlib.suppress(ConnectionError):
            data = await self.reader.read(65536)
        if not data:
            return False
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, Ping):
                self.pings += 1
                if not self.mute:
                    self.send(Pong(event.payload))
            elif isinstance(event, CloseConnection):
                self.close = event
                with contextlib.suppress(Exception):
                    self.send(event.response())
            else:
                self._events.append(event)
        return True


@contextlib.asynccontextmanager
async def web_socket(
    port: int, path: str = "/", headers: Mapping[str, str] | None = None, *, unread_bytes: int | None = None
) -> AsyncGenerator[Socket, None]:
    """A WebSocket to this port of loopback, open for as long as the block runs. Raises `Refused`.

    With `unread_bytes`, the system keeps about so many for a client that does not read.
    """
    reader, writer = await _connect(port, unread_bytes)
    try:
        given = {
            "host": f"127.0.0.1:{port}",
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": KEY,
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head[9:12])
        if status != 101:
            raise Refused(status)
        yield Socket(reader, writer, head)
    finally:
        writer.transport.abort()


async def _connect(port: int, unread_bytes: int | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connection = socket.socket()
    connection.setblocking(False)
    if unread_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, unread_bytes)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=connection, limit=unread_bytes or 2**20)
