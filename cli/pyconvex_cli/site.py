"""A deployment's site as a browser meets it: what it has, and what it answers to one request.

A running one is asked at its own address; one that is not running is opened in this process.
"""

import asyncio
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import typer

from pyconvex_cli.deployment import Unreachable, address_of
from pyconvex_cli.inventory import Inventory
from pyconvex_cli.project import find_project, project_settings

if TYPE_CHECKING:
    from pyconvex.functions.routing.cors_protocol import Answer
    from pyconvex.host import Host

TIMEOUT_SECONDS = 30.0


class Site(Protocol):
    """Where pages send their requests."""

    @property
    def inventory(self) -> Inventory: ...
    @property
    def address(self) -> str:
        """`http://127.0.0.1:3211`."""
        ...

    def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> "Answer":
        """The head of the answer to a request without a body. Raises `Unreachable`.

        Args:
            target: path and query, as they are sent.
        """
        ...


@contextmanager
def site_of(ctx: typer.Context, url: str | None, admin_key: str | None) -> "Generator[Site, None, None]":
    """The site of the deployment that a command is about.

    Raises `NoProject`, `BadSetting`, `LoadFailed`, `StartFailed`, `Unreachable`.
    """
    remote = address_of(ctx, url, admin_key)
    if remote is not None:
        answer = remote.get("/api/pyconvex/deployment")
        yield _RunningSite(Inventory.of_json(answer), answer["urls"]["site"].rstrip("/"))
        return
    from pyconvex_cli.embedded import embedded

    project = find_project()
    with embedded(project, project_settings(ctx, project), load=True) as deployment:
        yield _OpenedSite(deployment.host, deployment.runner)


class _RunningSite:
    def __init__(self, inventory: Inventory, address: str) -> None:
        self.inventory = inventory
        self.address = address

    def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> "Answer":
        from http.client import HTTPConnection, HTTPException, HTTPSConnection
        from urllib.parse import urlsplit

        from pyconvex.functions.fetch.headers import Headers
        from pyconvex.functions.routing.cors_protocol import Answer

        parts = urlsplit(self.address)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.putrequest(method, parts.path + target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if method in ("POST", "PUT", "PATCH"):
                connection.putheader("content-length", "0")
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, Headers(response.getheaders()))
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable("Unreachable", f"the site at {self.address} does not answer: {reason}") from None
        finally:
            connection.close()


class _OpenedSite:
    def __init__(self, host: "Host", runner: asyncio.Runner) -> None:
        from pyconvex.http.admin_api import describe

        self.inventory = Inventory.of_json(describe(host.registry))
        self.address = host.urls.site
        self._host = host
        self._runner = runner

    def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> "Answer":
        return self._runner.run(_asked(self._host, method, target, headers))


async def _asked(host: "Host", method: str, target: str, headers: Iterable[tuple[str, str]]) -> "Answer":
    from pyconvex.functions.fetch.headers import Headers
    from pyconvex.functions.routing.cors_protocol import Answer

    head: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    parts = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return parts.pop() if parts else await never

    async def send(message: Mapping[str, Any]) -> None:
        if not head.done():
            head.set_result(message)
        elif message.get("more_body"):
            await never  # a stream need not be heard to its end

    task = asyncio.ensure_future(host.app(_scope(host, method, target, headers), receive, send))
    try:
        await asyncio.wait({head, task}, return_when=asyncio.FIRST_COMPLETED)
        if not head.done():
            raise Unreachable("Unreachable", "the site ended without an answer")
        start = head.result()
        return Answer(start["status"], Headers([(bytes(k).decode("latin-1"), bytes(v)) for k, v in start["headers"]]))
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _scope(host: "Host", method: str, target: str, headers: Iterable[tuple[str, str]]) -> dict[str, Any]:
    from urllib.parse import unquote, urlsplit

    path, _, query = target.partition("?")
    raw = [(b"host", urlsplit(host.urls.site).netloc.encode())]
    raw += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(f"/http{path}"),
        "raw_path": f"/http{path}".encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": raw,
        "server": ("pyconvex", 0),
        "client": ("127.0.0.1", 0),
        "state": {},
        "extensions": {},
    }
