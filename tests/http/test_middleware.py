"""Middleware around HTTP actions, limits of single routes, and CORS where no handler answers; over real sockets."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.settings import Limits
from support.served import Served, run, served

HTTP = """
import asyncio
from contextvars import ContextVar

from pyconvex.server import Cors, Request, Response, http_action, http_router, internal_mutation
from ._generated.api import internal

http = http_router(cors=Cors(origins=["https://my.site"]))
user = ContextVar("user")
trail = []


@internal_mutation
async def note(ctx, text: str) -> None:
    await ctx.db.insert("notes", {"text": text})
    print("noted", text)


@http.route(path="/before", method="GET")
async def before(ctx, request: Request):
    trail.append("before")
    return Response("before")


@http.use
async def outer(ctx, request, next):
    trail.append("outer in")
    response = await next(request)
    trail.append("outer out")
    response.headers.set("x-outer", "1")
    return response


@http.use
async def inner(ctx, request, next):
    trail.append("inner in")
    try:
        return await next(request)
    except KeyError as error:
        return Response.json({"missing": str(error)}, status=404)
    finally:
        trail.append("inner out")


async def authenticated(ctx, request, next):
    key = request.headers.get("x-key")
    if key is None:
        return Response("who are you?", status=401)
    user.set(key)
    await ctx.run_mutation(internal.http.note, text=key)
    return await next(request)


async def replacing(ctx, request, next):
    body = (await request.text()).upper()
    return await next(Request(request.url, method="POST", body=body))


@http.route(path="/who/{id:int}", method="GET", middleware=[authenticated])
async def who(ctx, request: Request):
    trail.append("who")
    return Response.json({"user": user.get(), "id": request.path_params["id"]})


@http.route(path_prefix="/shout/", method="POST", middleware=[authenticated, replacing])
async def shout(ctx, request: Request):
    return Response(await request.text())


@http.route(path="/fails", method="GET")
async def fails(ctx, request: Request):
    raise KeyError("a")


@http.route(path="/boom", method="GET")
async def boom(ctx, request: Request):
    raise ValueError("boom")


@http.route(path="/nothing", method="GET")
async def nothing(ctx, request: Request):
    return None


async def forgets(ctx, request, next):
    return next(request)


async def silent(ctx, request, next):
    await next(request)


async def loses(ctx, request, next):
    return await next(None)


async def slow(ctx, request, next):
    await asyncio.sleep(60)


for name, layer in {"forgets": forgets, "silent": silent, "loses": loses, "slow": slow}.items():
    http.route(path=f"/{name}", method="GET", handler=before, middleware=[layer])


@http.route(path="/stream", method="GET")
async def stream(ctx, request: Request):
    async def parts():
        yield "first;"
        trail.append("streaming")
        yield "second"

    return Response(parts())


@http_action
async def size(ctx, request: Request):
    return Response(str(len(await request.bytes())))


http.route(path="/small", method="POST", handler=size, max_body_bytes=10)
http.route(path="/none", method="POST", handler=size, max_body_bytes=0)
http.route(path="/large", method="POST", handler=size, max_body_bytes=5000)
http.route(path="/usual", method="POST", handler=size)


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"mounted"})


http.mount("/mounted/", app)
default = http
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}, **options) as server:
            await story(server)

    run(whole)


def trail(server: Served) -> list[str]:
    return server.host.registry.modules["http"].trail


def test_the_first_used_is_the_outermost(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/before")
        assert (reply.text, reply.header("x-outer")) == ("before", "1"), "routes from before use() have it too"
        assert trail(server) == ["outer in", "inner in", "before", "inner out", "outer out"]

    serving(tmp_path, story)


def test_middleware_of_a_route_is_inside_of_the_routers(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        refused = await server.send("/who/7")
        assert (refused.status, refused.text, refused.header("x-outer")) == (401, "who are you?", "1")
        assert "who" not in trail(server)
        known = await server.send("/who/7", headers={"x-key": "Ada"})
        assert known.json == {"user": "Ada", "id": 7}, "context variables reach the handler"
        entries = server.completions[-2:]
        assert [entry.identifier for entry in entries] == ["http:note", "GET /who/{id:int}"]
        assert entries[0].request_id == entries[1].request_id, "what a middleware calls is a part of the action"
        assert "[LOG] 'noted' 'Ada'" in server.printed
        assert (await server.send("/who/x", headers={"x-key": "Ada"})).status == 404

    serving(tmp_path, story)


def test_another_request_can_be_handed_on(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/shout/x", method="POST", headers={"x-key": "k"}, body=b"hello")
        assert (reply.status, reply.text) == (200, "HELLO")

    serving(tmp_path, story)


def test_errors_pass_through_middleware(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        caught = await server.send("/fails")
        assert (caught.status, caught.json, caught.header("x-outer")) == (404, {"missing": "'a'"}, "1")
        failed = await server.send("/boom")
        assert failed.status == 500
        first, *frames = failed.json["trace"].splitlines()
        assert first == "Uncaught ValueError: boom"
        assert [line.split()[1] for line in frames] == ["boom", "inner", "outer"], "the user's own frames only"
        assert failed.header("access-control-allow-origin") is None

    serving(tmp_path, story)


MISTAKES = [
    ("/nothing", "HTTP actions must return a Response, but `nothing` returned None"),
    ("/silent", "A middleware must return a Response, but `silent` returned None"),
    ("/forgets", "A middleware must return a Response, but `forgets` returned an object of type `coroutine`"),
    ("/loses", "The middleware `loses` called next() with None instead of a Request"),
]


@pytest.mark.parametrize(("target", "message"), MISTAKES)
def test_whose_mistake_it_was_is_named(tmp_path: Path, target: str, message: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.send(target)
        assert reply.status == 500
        assert message in reply.json["code"]

    serving(tmp_path, story)


def test_middleware_is_under_the_actions_time_limit(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/slow")
        assert (reply.status, "timed out" in reply.json["code"]) == (500, True)

    serving(tmp_path, story, limits=Limits(action_seconds=0.2))


def test_a_stream_goes_on_after_its_middleware(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/stream")).text == "first;second"
        assert trail(server)[-2:] == ["outer out", "streaming"]

    serving(tmp_path, story)


def test_what_does_not_pass_middleware(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/mounted/")).text == "mounted"
        assert (await server.send("/missing")).status == 404
        asks = {"origin": "https://my.site", "access-control-request-method": "GET"}
        assert (await server.send("/before", method="OPTIONS", headers=asks)).status == 204
        assert trail(server) == []

    serving(tmp_path, story)


CHUNKED = {"transfer-encoding": "chunked"}
BODIES = [
    ("/small", 10, 200),
    ("/small", 11, 413),
    ("/none", 0, 200),
    ("/none", 1, 413),
    ("/large", 5000, 200),
    ("/large", 5001, 413),
    ("/usual", 1000, 200),
    ("/usual", 1001, 413),
]


@pytest.mark.parametrize(("target", "size", "status"), BODIES)
def test_limits_of_single_routes(tmp_path: Path, target: str, size: int, status: int) -> None:
    async def story(server: Served) -> None:
        announced = await server.send(target, method="POST", body=b"x" * size)
        end = b"0\r\n\r\n"
        chunk = b"%x\r\n%s\r\n" % (size, b"x" * size) + end if size else end
        streamed = await server.send(target, method="POST", headers=CHUNKED, body=chunk)
        for reply in (announced, streamed):
            assert reply.status == status
            if status == 200:
                assert reply.text == str(size)
            else:
                assert reply.json["code"] == "RequestTooLarge"
        assert server.completions[-1].status == status

    serving(tmp_path, story, limits=Limits(http_request_bytes=1000))


def test_pages_can_read_that_there_is_no_route(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/missing", headers={"origin": "https://my.site"})
        assert (reply.status, reply.text) == (404, "No matching routes found")
        assert reply.header("access-control-allow-origin") == "https://my.site"
        plain = await server.send("/missing")
        assert plain.header("access-control-allow-origin") is None

    serving(tmp_path, story)


def test_the_log_says_what_was_meant(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for method, target, why in [
            ("POST", "/before", "nearest is GET /before (http.py:18): wrong method, it takes GET"),
            ("GET", "/Before", "nearest is GET /before (http.py:18): letter case differs"),
            ("GET", "/who/ada", "nearest is GET /who/{id:int} (http.py:"),
            ("GET", "/beefore", "nearest is GET /before (http.py:18)"),
        ]:
            reply = await server.send(target, method=method)
            assert reply.body == b"No matching routes found", "clients hear what Convex says"
            assert why in (server.completions[-1].note or "")

    serving(tmp_path, story)
