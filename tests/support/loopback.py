"""A WebSocket without a network, between a test and the sync endpoint of a host: one end for each."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from wsproto.events import CloseConnection

from pyconvex.clock import Clock, SystemClock
from pyconvex.engine.client_version import client_version
from pyconvex.errors import PyconvexError
from pyconvex.host import Host, HostOptions
from pyconvex.host.database import SQLITE
from pyconvex.settings import Limits

from .served import write_modules
from .sync_client import SyncClient

NPM = b"npm-1.48.0"


class Loopback:
    """What the server sends is here at once, unless the client does not read."""

    def __init__(self) -> None:
        self.path = "/api/sync"
        self.client_ip: str | None = "127.0.0.1"
        self.reading = True
        self.close_frame: CloseConnection | None = None
        self.refused: int | None = None
        self.kept_waiting: list[bytes] = []
        """What the server would like to send."""
        self.said: asyncio.Queue[str | PyconvexError | None] = asyncio.Queue()
        self._ended = False
        self._told: asyncio.Queue[str | None] = asyncio.Queue()
        self._readable = asyncio.Event()
        self._readable.set()

    # --- the server's end

    def header(self, name: bytes, /) -> bytes | None:
        return {b"user-agent": b"tests"}.get(name)

    async def accept(self) -> None:
        pass

    async def refuse(self, status: int) -> None:
        self.refused = status
        self._told.put_nowait(None)

    async def receive(self) -> str | None:
        message = await self.said.get()
        if isinstance(message, PyconvexError):
            raise message
        return message

    def push(self, text: bytes) -> bool:
        if not self.reading:
            return False
        self._told.put_nowait(text.decode())
        return True

    async def send(self, text: bytes) -> None:
        self.kept_waiting.append(text)
        await self._readable.wait()
        self.kept_waiting.remove(text)
        self._told.put_nowait(text.decode())

    async def close(self, code: int, reason: str) -> None:
        self.close_frame = CloseConnection(code, reason)
        self.abort()

    # --- the client's end

    def say(self, message: str | object) -> None:
        self.said.put_nowait(message if isinstance(message, str) else json.dumps(message))

    @property
    def unread(self) -> int:
        """How many messages have arrived that the client did not look at."""
        return self._told.qsize()

    async def text(self) -> str | None:
        text = await self._told.get()
        self._ended = text is None
        return text

    async def closed(self) -> CloseConnection | None:
        while not self._ended:
            await self.text()
        return self.close_frame

    def abort(self) -> None:
        """The connection breaks."""
        self.read()
        self.said.put_nowait(None)
        self._told.put_nowait(None)

    def pause(self) -> None:
        """The client does not read any more."""
        self.reading = False
        self._readable.clear()

    def read(self) -> None:
        self.reading = True
        self._readable.set()


@asynccontextmanager
async def opened(
    project: Path,
    modules: Mapping[str, str],
    *,
    database: str = SQLITE,
    memory: bool = True,
    limits: Limits | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[Host]:
    """A deployment without ports: in memory, in a file of the project, or in the database of that URL."""
    write_modules(project, modules)
    options = HostOptions(
        project=project,
        database=database,
        memory=memory and database == SQLITE,
        limits=limits or Limits(),
        clock=clock or SystemClock(),
    )
    async with Host.open(options) as host:
        await host.reload()
        yield host


@asynccontextmanager
async def loopback(host: Host, client: bytes | None = NPM) -> AsyncGenerator[SyncClient]:
    """A client that has not said anything yet."""
    socket = Loopback()
    serving = asyncio.ensure_future(host.sync(socket, client_version(client)))
    try:
        yield SyncClient(socket)
    finally:
        socket.abort()
        await serving
