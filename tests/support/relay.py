"""A wire between clients and a server that can be cut, or fall silent, at any moment."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_CHUNK_BYTES = 2**16


class Line:
    """One connection through a relay."""

    def __init__(self, client: Ends, server: Ends) -> None:
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server

    def cut(self) -> None:
        self._to_client.transport.abort()
        self._to_server.transport.abort()

    async def carry(self) -> None:
        """Until one side or the test breaks it."""
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(
                self._pass(self._from_client, self._to_server, self.lets_ask),
                self._pass(self._from_server, self._to_client, self.lets_answer),
            )
        self.cut()

    def lets_ask(self, data: bytes) -> bool:
        """Whether this goes on to the server. When not, the connection breaks."""
        return True

    def lets_answer(self, data: bytes) -> bool:
        """Whether this goes on to the client. When not, the connection breaks."""
        return True

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lets: Callable[[bytes], bool]
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if not lets(data):
                break
            writer.write(data)
            await writer.drain()
        self.cut()


class Relay:
    """Forwards connections to wherever `connect` leads at that moment."""

    def __init__(self, connect: Callable[[], Awaitable[Ends]]) -> None:
        self._connect = connect
        self.lines: set[Line] = set()
        self.refusing = False
        """New connections are closed at once, as if nothing were there."""
        self.connections = 0
        """How many there have been."""

    def cut(self) -> None:
        """Break all connections."""
        for line in tuple(self.lines):
            line.cut()

    def line(self, client: Ends, server: Ends) -> Line:
        return Line(client, server)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = None
        if not self.refusing:
            with contextlib.suppress(OSError):
                server = await self._connect()
        if server is None:
            writer.transport.abort()
            return
        self.connections += 1
        line = self.line((reader, writer), server)
        self.lines.add(line)
        try:
            await line.carry()
        finally:
            self.lines.discard(line)


@asynccontextmanager
async def listening(relay: Relay) -> AsyncGenerator[int]:
    """Serve the relay on a free port of this machine, which is given."""
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        relay.cut()
