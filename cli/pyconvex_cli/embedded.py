"""A deployment opened in this process, without ports, and asked through its ASGI application."""

import asyncio
import json
from collections.abc import Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pyconvex.host import Host, HostOptions
from pyconvex.settings import Settings
from pyconvex_cli.deployment import answer_of, headers_for


@contextmanager
def embedded(project: Path, settings: Settings, *, load: bool) -> Generator["Embedded", None, None]:
    """The deployment of `project` for as long as the block runs; with `load` its functions are loaded.

    Raises `LoadFailed`, `StartFailed`.
    """
    with asyncio.Runner() as runner:
        closing = AsyncExitStack()
        options = HostOptions.from_settings(project, settings)
        host = runner.run(closing.enter_async_context(Host.open(options)))
        try:
            if load:
                runner.run(host.reload())
            yield Embedded(host, runner)
        finally:
            runner.run(closing.aclose())


@dataclass(slots=True)
class Embedded:
    """A deployment opened in this process, for as long as one command needs it."""

    host: Host
    runner: asyncio.Runner
    name: str = "this project, which is not running"
    live: bool = False

    def get(self, path: str, **query: str | float) -> Any:
        return self.runner.run(ask(self.host, "GET", path, query=urlencode(query)))

    def post(self, path: str, body: object, *, acting_as: str = "") -> Any:
        return self.runner.run(ask(self.host, "POST", path, body, acting_as=acting_as))


async def ask(host: Host, method: str, path: str, body: object = None, *, query: str = "", acting_as: str = "") -> Any:
    """One request of the admin to a deployment of this process. Raises `Refused`."""
    headers = headers_for(host.admin_key + acting_as)
    scope = {
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
    parts = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    answers: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else await asyncio.get_running_loop().create_future()

    async def send(message: Mapping[str, Any]) -> None:
        answers.append(message)

    await host.app(scope, receive, send)
    return answer_of(answers[0]["status"], b"".join(message.get("body", b"") for message in answers[1:]))
