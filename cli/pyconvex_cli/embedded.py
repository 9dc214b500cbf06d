"""A deployment opened in this process, without ports, and asked through its ASGI application."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import replace

from pyconvex.errors import LoadFailed
from pyconvex.host import Host, HostOptions
from pyconvex.settings import Settings
from pyconvex_cli.deployment import answer_of, headers_for
from pyconvex_cli.snapshot import snapshot
from pyconvex_cli.watcher import Matter, Watched, Watcher


@contextmanager
def embedded(project: Path, settings: Settings, *, load: bool) -> Generator["Embedded", None, None]:
    """The deployment of `project` for as long as the block runs; with `load` its functions are loaded.

    Raises `LoadFailed`, `StartFailed`.
    """
    with asyncio.Runner() as runner:
        closing = AsyncExitStack()
        options = replace(HostOptions.from_settings(project, settings), journal=True)
        host = runner.run(closing.enter_async_context(Host.open(options)))
        try:
            if load:
                runner.run(host.reload())
            yield Embedded(host, runner)
        finally:
            runner.run(closing.aclose())


class Embedded(Struct):
    """A deployment opened in this process, for as long as one command needs it."""

    host: Host
    runner: asyncio.Runner
    name: str = "this project, which is not running"
    live: bool = False

    def get(self, path: str, **query: str | float) -> Any:
        return self.runner.run(ask(self.host, "GET", path, query=urlencode(query)))

    def post(self, path: str, body: object, *, acting_as: str = "") -> Any:
        return self.runner.run(ask(self.host, "POST", path, body, acting_as=acting_as))

    def stream(self, path: str, body: object, *, acting_as: str = "") -> Generator[Any, None, None]:
        lines = _lines(self.host, path, body, acting_as)

        async def following() -> bytes | None:
            return await anext(lines, None)

        try:
            while (line := self.runner.run(following())) is not None:
                if line.strip():
                    yield json.loads(line)
        finally:
            self.runner.run(lines.aclose())

    @contextmanager
    def following_saves(self, failed: Callable[[LoadFailed], None]) -> Generator[None, None, None]:
        """Serve what is saved while the block runs; `failed` hears of versions that cannot be served."""
        watcher = self.runner.run(_watcher(self.host, failed))
        try:
            yield
        finally:
            watcher.stop()


async def ask(host: Host, method: str, path: str, body: object = None, *, query: str = "", acting_as: str = "") -> Any:
    """One request of the admin to a deployment of this process. Raises `Refused`."""
    answers: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        answers.append(message)

    await host.app(_scope(host, method, path, query, acting_as), _receive(body), send)
    return answer_of(answers[0]["status"], b"".join(message.get("body", b"") for message in answers[1:]))


async def _lines(host: Host, path: str, body: object, acting_as: str) -> AsyncGenerator[bytes, None]:
    """The answer to `POST path`, piece by piece; a piece of this application's is a line. Raises `Refused`."""
    messages: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    task = asyncio.ensure_future(host.app(_scope(host, "POST", path, "", acting_as), _receive(body), messages.put))
    try:
        start = await messages.get()
        more = True
        while more:
            message = await messages.get()
            more = message.get("more_body", False)
            if start["status"] != 200:
                answer_of(start["status"], message["body"])
            yield message["body"]
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _watcher(host: Host, failed: Callable[[LoadFailed], None]) -> Watcher:
    reloading: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            await host.reload()
        except LoadFailed as error:
            failed(error)

    def changed(found: dict[Matter, list[Path]]) -> None:
        if Matter.FUNCTIONS in found:
            task = asyncio.ensure_future(reload())
            reloading.add(task)
            task.add_done_callback(reloading.discard)

    functions = host.options.functions_folder
    watcher = Watcher(Watched(host.options.project, functions), changed)
    await asyncio.to_thread(watcher.start, snapshot(functions))
    return watcher


def _scope(host: Host, method: str, path: str, query: str, acting_as: str) -> dict[str, Any]:
    headers = headers_for(host.admin_key + acting_as)
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "server": ("pyconvex", 0),
        "client": None,
    }


def _receive(body: object) -> Callable[[], Awaitable[dict[str, Any]]]:
    parts = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else await asyncio.get_running_loop().create_future()

    return receive
