"""Every path of the client API with every method: who answers what, and that browsers may read it."""

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.http.health import Phase
from pyconvex.settings import Limits
from support.served import Reply, Served, run, served

MODULES = {
    "messages": """
        from pyconvex.server import action, mutation, query

        @query
        async def echo(ctx, value=None):
            return value

        @mutation
        async def send(ctx):
            return await ctx.db.insert("messages", {})

        @action
        async def act(ctx):
            return 1
    """,
    "http": """
        from pyconvex.server import Response, http_router

        http = http_router()


        @http.route(path="/version", method="POST")
        async def version(ctx, request):
            return Response("mine")


        @http.route(path="/echo", method="GET")
        async def echo(ctx, request):
            return Response("mine")


        @http.route(path="/api/mine", method="GET")
        async def mine(ctx, request):
            return Response("mine")


        default = http
    """,
}
ORIGIN = "http://localhost:5173"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

TEXTS = ("/", "/version", "/instance_version", "/instance_name")
POSTED: dict[str, object] = {
    "/api/query": {"path": "messages:echo", "args": {}},
    "/api/query_ts": None,
    "/api/query_batch": {"queries": []},
    "/api/mutation": {"path": "messages:send", "args": {}},
    "/api/action": {"path": "messages:act", "args": {}},
    "/api/function": {"path": "messages:act", "args": {}},
    "/api/run/messages/echo": {"args": {}},
    "/echo": {"any": "thing"},
}
GOTTEN = (*TEXTS, "/health", "/api/public_openapi.json", "/api/query?path=messages:echo&args=%7B%7D")
OURS = {("/version", "POST"), ("/echo", "GET"), ("/echo", "HEAD")}
"""What the routes of the project take, since the API does not."""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, MODULES, **options) as server:
            await story(server)

    run(whole)


async def ask(server: Served, method: str, target: str, **headers: str) -> Reply:
    given = {"origin": ORIGIN, "content-type": "application/json", **headers}
    body = b"" if method in ("GET", "HEAD") else json.dumps(POSTED.get(target.partition("?")[0])).encode()
    return await server.send(target, method=method, headers=given, body=body, api=True)


def may_be_read(reply: Reply) -> bool:
    return (
        reply.header("access-control-allow-origin") == ORIGIN
        and reply.header("access-control-allow-credentials") == "true"
        and reply.header("vary") == "origin, access-control-request-method, access-control-request-headers"
    )


@pytest.mark.parametrize("target", [*POSTED, *GOTTEN])
def test_methods(tmp_path: Path, target: str) -> None:
    async def story(server: Served) -> None:
        path = target.partition("?")[0]
        for method in METHODS:
            reply = await ask(server, method, target)
            if (path, method) in OURS:
                assert reply.status == 200
                assert reply.header("access-control-allow-origin") is None, "CORS of users' routes is theirs"
                continue
            served_with = {*(("GET", "HEAD") if target in GOTTEN else ()), *(("POST",) if path in POSTED else ())}
            if path == "/api/query" and method in ("GET", "HEAD") and target not in GOTTEN:
                assert reply.status == 400, "it names no function"
            elif method in served_with:
                assert reply.status == 200, (method, reply.text)
                assert bool(reply.body) is (method != "HEAD")
            else:
                assert (reply.status, reply.body) == (405, b"")
            assert may_be_read(reply), (method, reply.headers)

    serving(tmp_path, story)


@pytest.mark.parametrize("target", [*POSTED, *GOTTEN, "/api/storage/nothing", "/api/query_at_ts"])
def test_preflights(tmp_path: Path, target: str) -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-own"}

    async def story(server: Served) -> None:
        reply = await ask(server, "OPTIONS", target, **asks)
        assert (reply.status, reply.body) == (200, b"")
        assert may_be_read(reply)
        assert reply.header("access-control-allow-headers") == "authorization,x-own"
        assert reply.header("access-control-allow-methods") == "GET,POST,OPTIONS,PATCH,DELETE,PUT"
        assert reply.header("access-control-max-age") == "86400"

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("target", "method", "headers", "status"),
    [
        ("/api/nowhere", "GET", {}, 404),
        ("/nowhere", "POST", {}, 404),
        ("/api/deploy2/start_push", "POST", {}, 400),
        ("/api/query", "POST", {"convex-client": "npm-0.1.0"}, 400),
        ("/api/query_ts", "POST", {"convex-client": "nonsense"}, 400),
        ("/api/query", "POST", {"authorization": "Bearer a.b.c"}, 401),
        ("/api/query", "POST", {"authorization": "Convex a|b"}, 401),
        ("/api/query", "POST", {"content-type": "text/plain"}, 400),
        ("/api/list_environment_variables", "GET", {}, 403),
        ("/api/storage/00000000-0000-0000-0000-000000000000", "GET", {}, 404),
        ("/api/run/messages", "POST", {}, 400),
    ],
)
def test_refusals_may_be_read(tmp_path: Path, target: str, method: str, headers: dict[str, str], status: int) -> None:
    async def story(server: Served) -> None:
        reply = await ask(server, method, target, **headers)
        assert reply.status == status, reply.text
        assert may_be_read(reply)
        if reply.body:
            assert set(reply.json) == {"code", "message"}
        assert may_be_read(await ask(server, "POST", "/api/query")), "and another one is served"

    serving(tmp_path, story)


def test_without_an_origin_nobody_is_named(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query", POSTED["/api/query"])
        assert reply.header("access-control-allow-origin") is None
        assert reply.header("access-control-allow-credentials") is None
        assert reply.header("vary"), "caches may not give it to a page either"

    serving(tmp_path, story)


def test_a_deployment_that_is_not_ready_may_be_read_too(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        server.host.app.phase = Phase.STARTING
        reply = await ask(server, "POST", "/api/query")
        assert (reply.status, reply.json["code"]) == (503, "ServiceUnavailable")
        assert may_be_read(reply)

    serving(tmp_path, story)


def test_a_failure_inside_pyconvex_may_be_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    async def story(server: Served) -> None:
        monkeypatch.setattr(server.host.runner, "call", broken)
        reply = await ask(server, "POST", "/api/query")
        assert (reply.status, reply.json["code"]) == (500, "InternalServerError")
        assert reply.json["message"] == "Your request couldn't be completed. Try again later."
        assert may_be_read(reply)

    serving(tmp_path, story)


def test_routes_of_the_project_below_the_api(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/api/mine", api=True)).text == "mine"
        assert (await server.send("/version", method="POST", api=True)).text == "mine"
        assert (await server.send("/http/echo", api=True)).text == "mine"

    serving(tmp_path, story)


def test_what_is_echoed(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for body in (b"", b"\x00\xff", b"x" * 300_000):
            reply = await server.send("/echo", method="POST", body=body, api=True)
            assert (reply.status, reply.body) == (200, body)
            assert reply.header("content-type") == "application/octet-stream", "nobody's page"
        reply = await server.send("/echo", method="POST", body=b"x" * 300_001, api=True)
        assert (reply.status, reply.json["code"]) == (413, "RequestTooLarge")

    serving(tmp_path, story, limits=Limits(api_request_bytes=1000, echo_bytes=300_000))


def test_bodies_that_are_too_large(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for target in ("/api/query", "/api/mutation", "/api/function", "/api/run/messages/echo", "/api/query_batch"):
            reply = await server.call(target, b'{"path":"messages:echo","args":{"value":"' + b"x" * 3000 + b'"}}')
            assert (reply.status, reply.json["code"]) == (400, "BadJsonBody")
            assert "limit: 2000 bytes" in reply.json["message"]

    serving(tmp_path, story, limits=Limits(api_request_bytes=2000))
