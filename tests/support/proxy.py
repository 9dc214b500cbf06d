"""A wire to PostgreSQL that can be cut: at any moment, or exactly around a COMMIT."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from urllib.parse import parse_qs, urlsplit, urlunsplit

from .relay import Ends, Line, Relay, listening


class Cut(Enum):
    """Where in the sending of a COMMIT the connection breaks."""

    BEFORE = "before it reaches the server"
    AFTER = "after the server has done it, before its answer"


class Proxy(Relay):
    """Forwards connections to a PostgreSQL server. `url` is the address to be used in place of the server's own."""

    def __init__(self, server_url: str) -> None:
        super().__init__(self._connect_to_server)
        self._server_url = server_url
        self.url = ""
        self.cut_next_commit: Cut | None = None
        self.cut_next_rollback = False

    def lead_to(self, server_url: str) -> None:
        """Forward connections to another server from now on."""
        self._server_url = server_url

    def line(self, client: Ends, server: Ends) -> Line:
        return _Wire(self, client, server)

    async def _connect_to_server(self) -> Ends:
        split = urlsplit(self._server_url)
        folder = parse_qs(split.query).get("host")
        if folder:
            return await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.{split.port or 5432}")
        return await asyncio.open_connection(split.hostname, split.port or 5432)


class _Wire(Line):
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: Ends, server: Ends) -> None:
        super().__init__(client, server)
        self._proxy = proxy
        self._cut_at_answer = False

    def lets_ask(self, data: bytes) -> bool:
        if self._proxy.cut_next_commit is not None and b"COMMIT\0" in data:
            cut, self._proxy.cut_next_commit = self._proxy.cut_next_commit, None
            if cut is Cut.BEFORE:
                return False
            self._cut_at_answer = True
        if self._proxy.cut_next_rollback and b"ROLLBACK\0" in data:
            self._proxy.cut_next_rollback = False
            return False
        return True

    def lets_answer(self, data: bytes) -> bool:
        # The server answers when all is done, and in one piece: nobody is to hear it.
        return not self._cut_at_answer


@asynccontextmanager
async def proxied(server_url: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of the server, while the block runs."""
    proxy = Proxy(server_url)
    async with listening(proxy) as port:
        split = urlsplit(server_url)
        login = split.netloc.rpartition("@")[0]
        proxy.url = urlunsplit((split.scheme, f"{login}@127.0.0.1:{port}", split.path, "sslmode=disable", ""))
        yield proxy


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
