"""A wire between a client and a server that can be cut: at any moment, or exactly around a COMMIT."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum
from urllib.parse import parse_qs, urlsplit, urlunsplit

_CHUNK_BYTES = 2**16


class Cut(Enum):
    """Where in the sending of a COMMIT the connection breaks."""

    BEFORE = "before it reaches the server"
    AFTER = "after the server has done it, before its answer"


class Proxy:
    """Forwards connections to a PostgreSQL server. `url` is the address to be used in place of the server's own."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self.url = ""
        self.cut_next_commit: Cut | None = None
        self.cut_next_rollback = False
        self.refusing = False
        """New connections are closed at once, as if nothing were there."""
        self._wires: set[_Wire] = set()

    def cut(self) -> None:
        """Break all connections."""
        for wire in tuple(self._wires):
            wire.cut()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        wire = _Wire(self, (reader, writer), await self._connect())
        self._wires.add(wire)
        try:
            await wire.carry()
        finally:
            self._wires.discard(wire)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        split = urlsplit(self._server_url)
        folder = parse_qs(split.query).get("host")
        if folder:
            return await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.{split.port or 5432}")
        return await asyncio.open_connection(split.hostname, split.port or 5432)


class _Wire:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_server, self._to_server = server
        self._cut_at_answer = False

    def cut(self) -> None:
        self._to_client.transport.abort()
        self._to_server.transport.abort()

    async def carry(self) -> None:
        with suppress(ConnectionError):
            await asyncio.gather(self._forward(), self._backward())
        self.cut()

    async def _forward(self) -> None:
        while data := await self._from_client.read(_CHUNK_BYTES):
            if self._proxy.cut_next_commit is not None and b"COMMIT\0" in data:
                cut, self._proxy.cut_next_commit = self._proxy.cut_next_commit, None
                if cut is Cut.BEFORE:
                    return self.cut()
                self._cut_at_answer = True
            if self._proxy.cut_next_rollback and b"ROLLBACK\0" in data:
                self._proxy.cut_next_rollback = False
                return self.cut()
            self._to_server.write(data)
            await self._to_server.drain()
        return self.cut()

    async def _backward(self) -> None:
        while data := await self._from_server.read(_CHUNK_BYTES):
            # The server answers when all is done, and in one piece: nobody is to hear it.
            if self._cut_at_answer:
                break
            self._to_client.write(data)
            await self._to_client.drain()
        self.cut()


@asynccontextmanager
async def proxied(server_url: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of the server, while the block runs."""
    proxy = Proxy(server_url)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    split = urlsplit(server_url)
    login = split.netloc.rpartition("@")[0]
    proxy.url = urlunsplit((split.scheme, f"{login}@127.0.0.1:{port}", split.path, "sslmode=disable", ""))
    try:
        yield proxy
    finally:
        listening.close()
        proxy.cut()


@contextmanager
def in_between(url: str) -> Generator[tuple[Proxy, asyncio.AbstractEventLoop]]:
    """A proxy to the database, served by a thread."""
    ready, over = threading.Event(), asyncio.Event()
    found: list[tuple[Proxy, asyncio.AbstractEventLoop]] = []

    async def serve() -> None:
        async with proxied(url) as proxy:
            found.append((proxy, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        found[0][1].call_soon_threadsafe(over.set)
        thread.join()
