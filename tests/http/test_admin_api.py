"""Endpoints that need the admin key."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.http import admin_api
from support.served import Served, run, served
from support.sync_client import sync_client

MODULES = {
    "messages": """
        import os
        from pyconvex.server import internal_query, query

        @query
        async def origin(ctx, name: str):
            print("reading", name)
            return os.environ.get(name)

        @internal_query
        async def inner(ctx) -> None:
            pass
    """,
    "http": """
        from pyconvex.server import Response, http_router

        http = http_router()


        @http.route(path_prefix="/x/", method="GET")
        async def handler(ctx, request):
            print("in the handler")
            return Response("x")


        default = http
    """,
}

ENDPOINTS = [
    ("POST", "/api/update_environment_variables"),
    ("GET", "/api/list_environment_variables"),
    ("GET", "/api/stream_function_logs?cursor=0"),
    ("GET", "/api/app_metrics/stream_function_logs?cursor=0"),
    ("GET", "/api/stream_udf_execution?cursor=0"),
    ("GET", "/api/pyconvex/deployment"),
    ("GET", "/api/pyconvex/logs"),
    ("POST", "/api/pyconvex/report"),
]


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, MODULES, **options) as server:
            await story(server)

    run(whole)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_only_admins(tmp_path: Path, method: str, path: str) -> None:
    async def story(server: Served) -> None:
        for header, status, code in ((None, 403, "BadDeployKey"), ("Convex a|b", 401, "BadAdminKey")):
            headers = {} if header is None else {"authorization": header}
            reply = await server.send(path, method=method, headers=headers, body=b'{"changes":[]}', api=True)
            assert (reply.status, reply.json["code"]) == (status, code)

    serving(tmp_path, story)


def test_environment_variables(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        async def change(*changes: tuple[str, str | None]) -> Any:
            listed = [{"name": name, "value": value} for name, value in changes]
            return await server.call("/api/update_environment_variables", {"changes": listed}, **server.admin)

        async def listed() -> Any:
            reply = await server.send("/api/list_environment_variables", headers=server.admin, api=True)
            return reply.json["environmentVariables"]

        assert (await change(("ORIGIN", "https://a"), ("OTHER", "x"))).status == 200
        assert await listed() == {"ORIGIN": "https://a", "OTHER": "x"}
        read = await server.call("/api/query", {"path": "messages:origin", "args": {"name": "ORIGIN"}})
        assert read.json["value"] == "https://a"
        refused = await change(("OTHER", None), ("1X", "y"))
        assert (refused.status, refused.json["code"]) == (400, "EnvironmentVariableNameInvalid")
        assert "OTHER" in await listed(), "all or nothing"
        assert (await change(("OTHER", None), ("NEVER_SET", None))).status == 200
        assert await listed() == {"ORIGIN": "https://a"}
        for text in (b"", b"{}", b'{"changes":[{"name":1}]}', b"\xff"):
            reply = await server.call("/api/update_environment_variables", text, **server.admin)
            assert (reply.status, reply.json["code"]) == (400, "BadJsonBody")

    serving(tmp_path, story)


def test_the_deployments_own_addresses(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for name, port in (("CONVEX_CLOUD_URL", server.sockets.port), ("CONVEX_SITE_URL", server.sockets.site_port)):
            read = await server.call("/api/query", {"path": "messages:origin", "args": {"name": name}})
            assert read.json["value"] == f"http://127.0.0.1:{port}"

    serving(tmp_path, story)


def test_following_the_log(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        path = "/api/stream_function_logs?cursor="
        await server.send("/x/1")
        first = (await server.send(f"{path}0", headers=server.admin, api=True)).json
        kinds = [(entry["kind"], entry["identifier"], entry["logLines"]) for entry in first["entries"]]
        assert kinds == [
            ("Progress", "GET /x/1", ["[LOG] 'in the handler'"]),
            ("Completion", "GET /x/*", []),
        ]
        assert first["entries"][1]["success"] == {"status": "200"}
        cursor = first["newCursor"]
        waiting = asyncio.ensure_future(server.send(f"{path}{cursor}", headers=server.admin, api=True))
        await server.call("/api/query", {"path": "messages:origin", "args": {"name": "X"}})
        news = (await waiting).json
        assert [entry["identifier"] for entry in news["entries"]] == ["messages:origin"]
        assert news["newCursor"] > cursor
        structured = {**server.admin, "convex-client": "npm-cli-1.48.0"}
        again = (await server.send(f"{path}{cursor}", headers=structured, api=True)).json
        line = again["entries"][0]["logLines"][0]
        assert (line["level"], line["messages"]) == ("LOG", ["'reading'", "'X'"])
        for cursor in ("nan", "x", "inf", ""):
            assert (await server.send(f"{path}{cursor}", headers=server.admin, api=True)).status in (200, 400)

    serving(tmp_path, story)


def test_following_only_how_functions_end(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        await server.send("/x/1")
        reply = await server.send("/api/stream_udf_execution?cursor=0", headers=server.admin, api=True)
        (entry,) = reply.json["entries"]
        assert (entry["kind"], entry["identifier"]) == ("Completion", "GET /x/*")
        assert reply.json["newCursor"] == entry["timestamp"] * 1000

    serving(tmp_path, story)


def test_following_one_request_of_one_session(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        session = "6f2a9c1e-0b7d-4c55-9e0a-3d1f5b8e7a42"
        async with sync_client(server.sockets.port) as client:
            client.connect(session)
            for _ in range(2):
                await client.ended(client.mutate("messages:nothing"))
        path = f"/api/stream_function_logs?cursor=0&sessionId={session}&clientRequestCounter"
        reply = await server.send(f"{path}=1", headers=server.admin, api=True)
        assert [entry["requestId"] for entry in reply.json["entries"]] == ["039efd570871bdd4"]
        reply = await server.send(f"{path}=2", headers=server.admin, api=True)
        assert (reply.json["entries"], reply.json["newCursor"]) == ([], server.completions[-1].timestamp * 1000)
        reply = await server.send(f"{path}=x", headers=server.admin, api=True)
        assert (reply.status, reply.json["code"]) == (400, "BadQueryArgs")

    serving(tmp_path, story)


def test_nothing_new_for_a_minute_is_an_answer_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_api, "POLL_SECONDS", 0.01)

    async def story(server: Served) -> None:
        path = "/api/stream_function_logs?cursor=1767225602750.25"
        reply = await server.send(path, headers=server.admin, api=True)
        assert reply.json == {"entries": [], "newCursor": 1767225602750.25}

    serving(tmp_path, story)


def test_a_follower_does_not_hold_up_the_end(tmp_path: Path) -> None:
    took = 0.0

    async def story(server: Served) -> None:
        nonlocal took
        _reader, writer = await server.connect(api=True)
        key = server.admin["authorization"].encode()
        writer.write(b"GET /api/stream_function_logs?cursor=0 HTTP/1.1\r\nhost: x\r\nauthorization: %s\r\n\r\n" % key)
        await server.until(lambda: server.host.app.busy)
        took = time.perf_counter()

    serving(tmp_path, story)
    assert time.perf_counter() - took < 0.95


def test_history_outlives_the_process(tmp_path: Path) -> None:
    async def first(server: Served) -> None:
        for number in range(5):
            await server.send(f"/x/{number}")

    async def second(server: Served) -> None:
        reply = await server.send("/api/pyconvex/logs?history=3", headers=server.admin, api=True)
        requests = [entry.get("request") for entry in reply.json["entries"]]
        assert requests == ["GET /x/3", None, "GET /x/4"]
        assert (await server.send("/api/pyconvex/logs?history=0", headers=server.admin, api=True)).json["entries"] == []

    serving(tmp_path, first, memory=False)
    serving(tmp_path, second, memory=False)


def test_what_is_served(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        found = (await server.send("/api/pyconvex/deployment", headers=server.admin, api=True)).json
        assert found["urls"]["cloud"] == f"http://127.0.0.1:{server.sockets.port}"
        functions = {each["path"]: each for each in found["functions"]}
        assert functions["messages:origin"] == {
            "path": "messages:origin",
            "kind": "query",
            "visibility": "public",
            "args": {"type": "object", "value": {"name": {"fieldType": {"type": "string"}, "optional": False}}},
            "returns": {"type": "any"},
            "place": functions["messages:origin"]["place"],
        }
        assert functions["messages:origin"]["place"].startswith("convex/messages.py:")
        assert functions["messages:inner"]["visibility"] == "internal"
        (route,) = found["routes"]
        assert (route["path"], route["method"], route["form"]) == ("/x/*", "GET", "prefix")
        assert route["handler"] == "http:handler"
        assert route["place"].startswith("convex/http.py:")

    serving(tmp_path, story)
