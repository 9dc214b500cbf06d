"""A deployment on real sockets in this process, and a client that says exactly what a test wants to say."""

import asyncio
import contextlib
import json
import textwrap
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
from msgspec.structs import replace

from pyconvex.engine.logs.logs import Completion, LogEntry
from pyconvex.host import Host, HostOptions, Sockets, bind_sockets
from pyconvex.settings import Limits

PATIENCE_SECONDS = 30.0


@dataclass
class Reply:
    """One response as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool = True
    """Whether its end arrived too."""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A deployment that is being served."""

    host: Host
    sockets: Sockets
    entries: list[LogEntry] = field(default_factory=list[LogEntry])
    """The log since the start."""

    @property
    def admin(self) -> dict[str, str]:
        return {"authorization": f"Convex {self.host.admin_key}"}

    @property
    def completions(self) -> list[Completion]:
        return [entry for entry in self.entries if isinstance(entry, Completion)]

    @property
    def printed(self) -> list[str]:
        """All log lines so far."""
        return [line.text() for entry in self.entries for line in entry.log_lines]

    async def connect(self, *, api: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        port = self.sockets.port if api else self.sockets.site_port
        return await asyncio.open_connection("127.0.0.1", port)

    async def send(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        api: bool = False,
    ) -> Reply:
        """One request on its own connection. `target` is the request target as it is."""
        given = {"host": "127.0.0.1", **(headers or {})}
        if body and "transfer-encoding" not in given:
            given.setdefault("content-length", str(len(body)))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return await self.say(f"{head}\r\n".encode("latin-1") + body, method=method, api=api)

    async def call(self, endpoint: str, body: object, **headers: str) -> Reply:
        """POST to the client API."""
        sent = {
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.send(endpoint, method="POST", headers=sent, body=text, api=True)

    async def say(self, text: bytes, *, method: str = "GET", api: bool = False) -> Reply:
        """Send these bytes and read one response."""
        reader, writer = await self.connect(api=api)
        try:
            writer.write(text)
            return await read_reply(reader, method)
        finally:
            writer.transport.abort()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.002)


async def read_reply(reader: asyncio.StreamReader, method: str = "GET") -> Reply:
    """The response to a request with `method`; a body that is cut off is not `whole`."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    reply: Reply | None = None
    try:
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Response):
                pairs = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
                reply = Reply(event.status_code, pairs, b"")
            elif isinstance(event, h11.Data) and reply is not None:
                reply.body += event.data
            elif isinstance(event, h11.EndOfMessage) and reply is not None:
                return reply
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed without a response")
    except (h11.RemoteProtocolError, ConnectionResetError):
        if reply is None:
            raise ConnectionError("closed without a response") from None
        reply.whole = False
        return reply


def write_modules(project: Path, modules: Mapping[str, str]) -> None:
    """Write `convex/<name>.py` for each module, its text dedented."""
    for name, text in modules.items():
        file = project / "convex" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip())


@contextlib.asynccontextmanager
async def served(
    project: Path,
    modules: Mapping[str, str],
    *,
    limits: Limits | None = None,
    redact: bool = False,
    memory: bool = True,
    database: str | None = None,
    storage: str | None = None,
    journal: bool = False,
    trusted_proxies: tuple[str, ...] = (),
    allowed_hosts: tuple[str, ...] = (),
) -> AsyncGenerator[Served, None]:
    """Serve these modules on free ports."""
    write_modules(project, modules)
    options = HostOptions(
        project=project,
        limits=limits or Limits(),
        redact=redact,
        memory=memory,
        journal=journal,
        trusted_proxies=trusted_proxies,
        allowed_hosts=allowed_hosts,
    )
    if database is not None:
        options = replace(options, memory=False, database=database)
    if storage is not None:
        options = replace(options, memory=False, storage=storage)
    async with Host.open(options) as host:
        sockets = bind_sockets(port=0, site_port=0)
        shutdown = asyncio.Event()
        await host.reload()
        server = asyncio.ensure_future(host.serve(sockets, shutdown))
        running = Served(host, sockets)
        host.logs.subscribe(running.entries.append)
        try:
            yield running
        finally:
            shutdown.set()
            await server


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's story to its end, or fail."""
    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS))
