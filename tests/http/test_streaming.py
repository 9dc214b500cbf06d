"""Bodies on their way, in both directions: as they are produced, no faster than they are taken, and what happens when
one side stops (https://docs.convex.dev/functions/http-actions)."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from pyconvex.settings import Limits
from support.served import Served, read_reply, run, served

HTTP = """
import asyncio
from pyconvex.server import Request, Response, http_router

http = http_router()
steps = {name: asyncio.Event() for name in ("one", "two", "left", "ended")}
seen = []
sent = 0
CHUNK = b"x" * 65536


@http.route(path="/hello", method="GET")
async def hello(ctx, request: Request):
    return Response("hello")


@http.route(path="/stepwise", method="GET")
async def stepwise(ctx, request: Request):
    async def parts():
        yield "first;"
        await steps["one"].wait()
        yield "second;"
        await steps["two"].wait()
        yield "third;"

    return Response(parts())


@http.route(path="/pour", method="GET")
async def pour(ctx, request: Request):
    async def parts():
        global sent
        for _ in range(1600):
            sent += len(CHUNK)
            yield CHUNK

    return Response(parts())


@http.route(path="/first", method="POST")
async def first(ctx, request: Request):
    async for chunk in request.body:
        seen.append(len(chunk))
        break
    await steps["one"].wait()
    rest = sum([len(chunk) async for chunk in request.body])
    return Response.json([seen[0], rest])


@http.route(path="/echo", method="POST")
async def echo(ctx, request: Request):
    return Response(request.body)


@http.route(path="/part", method="POST")
async def part(ctx, request: Request):
    async for chunk in request.body:
        return Response(f"got {len(chunk)}")


@http.route(path="/crosses", method="POST")
async def crosses(ctx, request: Request):
    try:
        async for chunk in request.body:
            seen.append(len(chunk))
    except Exception as error:
        return Response(f"{type(error).__name__} {error}", status=200)
    return Response("all of it")


@http.route(path="/listens", method="GET")
async def listens(ctx, request: Request):
    request.signal.add_listener(lambda: seen.append(str(request.signal.reason)))
    steps["one"].set()
    await request.signal.wait()
    steps["left"].set()
    return Response("late")


@http.route(path="/listens", method="POST")
async def listens_with_a_body(ctx, request: Request):
    request.signal.add_listener(steps["left"].set)
    steps["one"].set()
    seen.append(len(await request.bytes()))
    await request.signal.wait()
    return Response("late")


@http.route(path="/stays", method="GET")
async def stays(ctx, request: Request):
    request.signal.add_listener(lambda: seen.append("aborted"))
    return Response("stays")


@http.route(path="/half", method="POST")
async def half(ctx, request: Request):
    steps["one"].set()
    await request.bytes()


@http.route(path="/no-end", method="GET")
async def no_end(ctx, request: Request):
    async def parts():
        yield "first"
        await asyncio.Event().wait()

    return Response(parts())


@http.route(path="/spins", method="GET")
async def spins(ctx, request: Request):
    while True:
        await asyncio.sleep(0)


@http.route(path="/goes-on", method="GET")
async def goes_on(ctx, request: Request):
    async def parts():
        yield "first"
        steps["one"].set()
        await steps["two"].wait()
        for number in range(5):
            yield "more" * 10_000
            seen.append(number)
        steps["ended"].set()

    return Response(parts())


default = http
"""

TOTAL = 100 * 2**20
"""Far more than sockets keep for those who do not read."""


def serving(tmp_path: Path, story: Callable[[Served, Any], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}, limits=Limits(**limits)) as server:
            await story(server, server.host.registry.modules["http"])

    run(whole)


def test_chunks_leave_as_they_are_produced(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /stepwise HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head.lower()
        assert await reader.readuntil(b"first;\r\n")
        module.steps["one"].set()
        assert await reader.readuntil(b"second;\r\n")
        module.steps["two"].set()
        assert await reader.readuntil(b"third;\r\n0\r\n\r\n")
        writer.close()

    serving(tmp_path, story)


def test_a_client_of_http_1_0_gets_a_stream_until_the_end_of_the_connection(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        module.steps["one"].set()
        module.steps["two"].set()
        reader, writer = await server.connect()
        writer.write(b"GET /stepwise HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\nfirst;second;third;")
        writer.close()

    serving(tmp_path, story)


def test_a_producer_waits_for_its_reader(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        with socket.create_connection(("127.0.0.1", server.sockets.site_port)) as client:
            client.sendall(b"GET /pour HTTP/1.1\r\nhost: x\r\n\r\n")
            await settled(lambda: module.sent)
            before = module.sent
            assert before < TOTAL / 4, "most of it was not produced"
            client.settimeout(5)
            while module.sent == before:
                await asyncio.to_thread(client.recv, 2**20)

    serving(tmp_path, story, http_response_bytes=TOTAL)


def test_a_sender_waits_for_its_handler(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        sent = 0
        writer.write(b"POST /first HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % TOTAL)

        async def send() -> None:
            nonlocal sent
            while sent < TOTAL:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536

        sending = asyncio.ensure_future(send())
        await settled(lambda: sent)
        assert sent < TOTAL / 4, "most of it waits with the sender"
        module.steps["one"].set()
        first, rest = (await read_reply(reader)).json
        assert first + rest == TOTAL
        await sending
        writer.close()

    serving(tmp_path, story, http_request_bytes=TOTAL)


async def settled(value: Callable[[], int]) -> None:
    """Wait until the value has grown, and does not grow any more."""
    before, same = 0, 0
    while same < 20:
        await asyncio.sleep(0.01)
        same = same + 1 if value() == before > 0 else 0
        before = value()


def test_a_body_is_echoed_while_it_comes(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nwarm\r\n")
        await reader.readuntil(b"warm\r\n")
        for number in range(3):
            writer.write(b"5\r\npart%d\r\n" % number)
            await reader.readuntil(b"part%d\r\n" % number)
        writer.write(b"0\r\n\r\n")
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read_reply(reader)).text == "hello"
        writer.close()

    serving(tmp_path, story)


def test_an_answer_before_the_end_of_the_body(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"POST /part HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc")
        assert (await read_reply(reader)).text == "got 3"
        writer.write(b"defGET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read_reply(reader)).text == "hello", "the rest was taken in, and the connection is in step"
        writer.close()

    serving(tmp_path, story)


def test_a_handler_may_catch_that_a_stream_crosses_the_limit(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
        text = b"POST /crosses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 11 + b"0\r\n\r\n"
        reply = await server.say(text, method="POST")
        assert (reply.status, reply.text) == (200, "RequestRefused The request body is larger than 1000 bytes")
        assert sum(module.seen) <= 1000

    serving(tmp_path, story, http_request_bytes=1000)


def test_a_signal_tells_its_listeners(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        _, writer = await server.connect()
        writer.write(b"GET /listens HTTP/1.1\r\nhost: x\r\n\r\n")
        await module.steps["one"].wait()
        assert module.seen == []
        writer.close()
        await module.steps["left"].wait()
        assert module.seen == ["Client disconnected"]
        await server.until(lambda: bool(server.completions))
        assert (server.completions[-1].error, server.completions[-1].success) == ("Client disconnected", None)

    serving(tmp_path, story)


def test_a_signal_is_watched_while_the_body_is_read(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        _, writer = await server.connect()
        writer.write(b"POST /listens HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n" + b"x" * 100)
        await module.steps["one"].wait()
        for _ in range(3):
            writer.write(b"x" * 99_900)
            await writer.drain()
        writer.write(b"x" * 200)
        await server.until(lambda: module.seen == [300_000])
        assert not module.steps["left"].is_set()
        writer.close()
        await module.steps["left"].wait()

    serving(tmp_path, story)


def test_a_signal_is_not_aborted_by_the_end_of_the_request(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        for _ in range(2):
            writer.write(b"GET /stays HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await read_reply(reader)).text == "stays"
        writer.close()
        assert (await server.send("/hello")).text == "hello"
        assert module.seen == []

    serving(tmp_path, story)


def test_a_client_that_leaves_in_the_middle_of_its_body(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        _, writer = await server.connect()
        writer.write(b"POST /half HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        await module.steps["one"].wait()
        writer.close()
        await server.until(lambda: bool(server.completions))
        assert (server.completions[-1].error, server.completions[-1].success) == ("Client disconnected", None)

    serving(tmp_path, story)


def test_a_stream_goes_on_when_its_client_has_left(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /goes-on HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"first")
        writer.transport.abort()
        await module.steps["one"].wait()
        module.steps["two"].set()
        await module.steps["ended"].wait()
        await server.until(lambda: bool(server.completions))
        entry = server.completions[-1]
        assert module.seen == [0, 1, 2, 3, 4]
        assert entry.success is not None
        assert (entry.success.status, entry.error) == ("200", None)
        assert "[INFO] Client disconnected" in server.printed

    serving(tmp_path, story)


def test_a_stream_that_never_ends_is_cut_off_in_time(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reply = await server.send("/no-end")
        assert (reply.status, reply.body, reply.whole) == (200, b"first", False)
        text = "[ERROR] Function execution timed out (maximum duration: 0.2s)"
        assert any(line.startswith(text) for line in server.printed)
        assert (await server.send("/hello")).status == 200

    serving(tmp_path, story, action_seconds=0.2)


def test_a_handler_that_does_nothing_but_turn_is_cut_off_in_time(tmp_path: Path) -> None:
    async def story(server: Served, module: Any) -> None:
        reply = await server.send("/spins")
        assert reply.status == 500
        assert "Function execution timed out (maximum duration: 0.2s)" in reply.json["code"]

    serving(tmp_path, story, action_seconds=0.2)
