"""So many calls through the HTTP API at once: further ones wait in their order, and nothing else waits with them."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pyconvex.settings import Limits
from support.served import Reply, Served, read_reply, run, served
from support.sync_client import add, sync_client

HTTP = """
import asyncio
from pyconvex.server import Request, Response, action, http_router, query

http = http_router()
started = []
gates = {}


@query
async def one(ctx):
    return 1


@action
async def hold(ctx, n: int):
    started.append(n)
    await gates.setdefault(n, asyncio.Event()).wait()
    return n


@action
async def cling(ctx, n: int):
    started.append(n)
    gate = gates.setdefault(n, asyncio.Event())
    while not gate.is_set():
        try:
            await gate.wait()
        except asyncio.CancelledError:
            pass


@http.route(path="/started", method="GET")
async def which(ctx, request: Request):
    return Response.json(started)


@http.route(path="/open/{n:int}", method="POST")
async def release(ctx, request: Request):
    gates.setdefault(request.path_params["n"], asyncio.Event()).set()
    return Response()


default = http
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}, limits=Limits(**limits)) as server:
            await story(server)

    run(whole)


def hold(server: Served, n: int) -> "asyncio.Task[Reply]":
    return asyncio.create_task(server.call("/api/action", {"path": "http:hold", "args": {"n": n}}))


async def release(server: Served, n: int) -> None:
    assert (await server.send(f"/open/{n}", method="POST")).status == 200


async def started(server: Served, *expected: int) -> None:
    """Waits until these, in this order, have begun; at the first that is not among them it fails."""
    while (seen := (await server.send("/started")).json) != list(expected):
        assert seen == list(expected)[: len(seen)]


async def arrived(server: Served) -> None:
    """What was sent before this has reached its endpoint, since this was served whole."""
    await asyncio.sleep(0)  # tasks that were made just now begin
    for _ in range(3):
        assert (await server.send("/version", api=True)).status == 200


def test_further_calls_wait_in_their_order(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        calls = [hold(server, n) for n in (1, 2)]
        await server.until(lambda: server.host.app.busy)
        while sorted((await server.send("/started")).json) != [1, 2]:
            pass
        first, second = (await server.send("/started")).json
        for n in (3, 4):
            calls.append(hold(server, n))
            await arrived(server)
        await release(server, second)
        await started(server, first, second, 3)
        await release(server, first)
        await started(server, first, second, 3, 4)
        for n in (3, 4):
            await release(server, n)
        assert [(await call).json["value"] for call in calls] == [1.0, 2.0, 3.0, 4.0]
        assert (await server.call("/api/query", {"path": "http:one", "args": {}})).json["value"] == 1.0

    serving(tmp_path, story, concurrent_api_requests=2)


def test_nothing_else_is_held_up(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        call = hold(server, 1)
        await started(server, 1)
        waits = asyncio.create_task(server.call("/api/query", {"path": "http:one", "args": {}}))
        await arrived(server)
        for path in ("/", "/version", "/instance_version", "/instance_name", "/health", "/http/started"):
            assert (await server.send(path, api=True)).status == 200
        assert (await server.send("/api/list_environment_variables", headers=server.admin, api=True)).status == 200
        assert (await server.send("/echo", method="POST", body=b"x", api=True)).text == "x"
        async with sync_client(server.sockets.port) as client:
            client.connect()
            client.modify(0, add(0, "http:one"))
            await client.until("Transition")
            assert client.results == {0: 1.0}
        assert not waits.done()
        await release(server, 1)
        assert [(await each).json["value"] for each in (call, waits)] == [1.0, 1.0]

    serving(tmp_path, story, concurrent_api_requests=1)


def test_streams_and_slow_clients_hold_no_place(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.call("/api/query", {"path": "http:one", "args": {}})).status == 200
        polled = await server.send("/api/stream_udf_execution?cursor=0", headers=server.admin, api=True)
        cursor = polled.json["newCursor"]
        poll = asyncio.create_task(
            server.send(f"/api/stream_udf_execution?cursor={cursor}", headers=server.admin, api=True)
        )
        reader, writer = await server.connect(api=True)
        body = b'{"path": "http:one", "args": {}}'
        head = b"POST /api/query HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body) + body[:5])
        await arrived(server)
        assert (await server.call("/api/query", {"path": "http:one", "args": {}})).json["value"] == 1.0
        writer.write(body[5:])
        assert (await read_reply(reader)).json["value"] == 1.0
        writer.transport.abort()
        assert (await poll).json["entries"]

    serving(tmp_path, story, concurrent_api_requests=1)


def test_who_leaves_while_waiting_gives_the_place_to_the_next(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        call = hold(server, 1)
        await started(server, 1)
        _reader, writer = await _ask(server, 2)
        await arrived(server)
        last = hold(server, 3)
        await arrived(server)
        writer.transport.abort()
        await arrived(server)
        await release(server, 1)
        await started(server, 1, 3)
        await release(server, 3)
        assert [(await each).json["value"] for each in (call, last)] == [1.0, 3.0]

    serving(tmp_path, story, concurrent_api_requests=1)


def test_waiting_counts_as_time_of_the_request(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        clings = asyncio.create_task(server.call("/api/action", {"path": "http:cling", "args": {"n": 1}}))
        await started(server, 1)
        reply = await hold(server, 2)
        assert (reply.status, reply.json["code"]) == (408, "RequestTimeout")
        await release(server, 1)
        await clings
        assert (await server.call("/api/query", {"path": "http:one", "args": {}})).json["value"] == 1.0
        assert (await server.send("/started")).json == [1]

    serving(tmp_path, story, concurrent_api_requests=1, api_request_seconds=0.3)


def test_far_too_many_are_refused(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        calls = [hold(server, 1)]
        await started(server, 1)
        calls.append(hold(server, 2))
        await arrived(server)
        reply = await server.call("/api/query", {"path": "http:one", "args": {}})
        assert (reply.status, reply.json["code"]) == (429, "TooManyConcurrentRequests")
        for n in (1, 2):
            await release(server, n)
        assert [(await call).json["value"] for call in calls] == [1.0, 2.0]

    serving(tmp_path, story, concurrent_api_requests=1, waiting_api_requests=1)


async def _ask(server: Served, n: int) -> tuple[StreamReader, StreamWriter]:
    """A call of `hold` on a connection of its own, of which nothing is read."""
    reader, writer = await server.connect(api=True)
    body = b'{"path": "http:hold", "args": {"n": %d}}' % n
    head = b"POST /api/action HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(body) + body)
    return reader, writer
