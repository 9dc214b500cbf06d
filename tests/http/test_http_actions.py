"""HTTP actions over real sockets: what each situation is answered and logged with."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.settings import Limits
from support.served import Reply, Served, read_reply, run, served

HTTP = """
from pyconvex.server import GitHubWebhook, Request, Response, http_router
from pyconvex.values import ConvexError

http = http_router()


@http.route(path="/hello", method="GET")
async def hello(ctx, request: Request):
    return Response("hello", headers={"x-method": request.method})


@http.route(path="/echo", method="POST")
async def echo(ctx, request: Request):
    return Response.json(
        {
            "url": str(request.url),
            "method": request.method,
            "headers": request.headers.items(),
            "body": await request.text(),
        }
    )


@http.route(path="/options", method="OPTIONS")
async def options(ctx, request: Request):
    return Response(repr(request.body))


@http.route(path_prefix="/profile/", method="GET")
async def profile(ctx, request: Request):
    return Response(request.url.pathname)


@http.route(path="/users/{id:int}", method="GET")
async def user(ctx, request: Request):
    return Response.json(request.path_params)


@http.route(path="/cookies", method="GET")
async def cookies(ctx, request: Request):
    response = Response(None, status=201, status_text="Made", headers={"connection": "close", "keep-alive": "5"})
    response.headers.append("set-cookie", "a=1")
    response.headers.append("set-cookie", "b=2")
    response.headers.set("content-length", "99")
    response.headers.set("transfer-encoding", "chunked")
    return response


@http.route(path="/nothing", method="GET")
async def nothing(ctx, request: Request):
    return Response(None, status=204)


@http.route(path="/stream", method="GET")
async def stream(ctx, request: Request):
    async def parts():
        for number in range(3):
            yield f"part {number};"

    return Response(parts(), headers={"content-type": "text/event-stream"})


@http.route(path="/boom", method="GET")
async def boom(ctx, request: Request):
    print("before", 42)
    raise ValueError("boom")


@http.route(path="/convex-error", method="GET")
async def convex_error(ctx, request: Request):
    raise ConvexError({"code": "NO_CHANNEL", "number": 5})


@http.route(path="/wrong", method="GET")
async def wrong(ctx, request: Request):
    return {"not": "a response"}


@http.route(path="/used", method="GET")
async def used(ctx, request: Request):
    response = Response("read before")
    await response.text()
    return response


@http.route(path="/control", method="GET")
async def control(ctx, request: Request):
    return Response("x", headers={"x-bad": "a" + chr(7)})


@http.route(path="/breaks", method="GET")
async def breaks(ctx, request: Request):
    async def parts():
        yield "first"
        raise RuntimeError("half way")

    return Response(parts())


@http.route(path="/signed", method="POST")
async def signed(ctx, request: Request):
    return Response(await GitHubWebhook("secret").verify(request))


@http.route(path="/who", method="GET")
async def who(ctx, request: Request):
    try:
        identity = await ctx.auth.get_user_identity()
    except Exception as error:
        return Response.json({"raised": error.code, "header": request.headers.get("authorization")})
    return Response.json({"identity": identity, "header": request.headers.get("authorization")})


default = http
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": HTTP}, **options) as server:
            await story(server)

    run(whole)


def outcome(reply: Reply) -> tuple[int, str | None, bytes]:
    return reply.status, reply.header("content-type"), reply.body


def test_the_answer_of_a_handler(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/hello")
        assert outcome(reply) == (200, "text/plain;charset=UTF-8", b"hello")
        assert sorted(name for name, _ in reply.headers) == ["content-length", "content-type", "date", "x-method"]

    serving(tmp_path, story)


def test_head_runs_get_and_drops_the_body(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/hello", method="HEAD")
        assert outcome(reply) == (200, "text/plain;charset=UTF-8", b"")
        assert reply.header("content-length") == "5"
        assert reply.header("x-method") == "HEAD"
        assert server.completions[-1].identifier == "GET /hello"
        assert server.completions[-1].request == "HEAD /hello"
        streamed = await server.send("/stream", method="HEAD")
        assert outcome(streamed) == (200, "text/event-stream", b"")

    serving(tmp_path, story)


def test_the_request_a_handler_sees(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send(
            "/echo?a=1&b=%20",
            method="POST",
            headers={"host": "my.site:8080", "X-Forwarded-Proto": "https", "X-Many": "é"},
            body="häh".encode(),
        )
        seen = reply.json
        assert seen["url"] == "http://my.site:8080/echo?a=1&b=%20"
        assert seen["body"] == "häh"
        assert ["x-many", "é"] in seen["headers"]
        assert ["host", "my.site:8080"] in seen["headers"]

    serving(tmp_path, story)


def test_bodies_of_get_and_options_are_ignored(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/hello", body=b"ignored")).status == 200
        assert (await server.send("/options", method="OPTIONS", body=b"ignored")).text == "None"

    serving(tmp_path, story)


@pytest.mark.parametrize("target", ["/profile/1", "/profile/", "/profile/a%2Fb//c", "/profile/x?y=/"])
def test_prefixes_get_paths_as_they_came(tmp_path: Path, target: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.send(target)
        assert reply.text == target.partition("?")[0]
        assert server.completions[-1].identifier == "GET /profile/*"

    serving(tmp_path, story)


def test_path_parameters(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/users/17")).json == {"id": 17}
        assert (await server.send("/users/x")).status == 404

    serving(tmp_path, story)


def test_no_route(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for method, target in [("GET", "/nowhere"), ("POST", "/hello"), ("GET", "/Hello"), ("GET", "/profile")]:
            reply = await server.send(target, method=method)
            assert outcome(reply) == (404, "text/plain; charset=utf-8", b"No matching routes found")
            entry = server.completions[-1]
            assert entry.identifier == f"{method} {target}"
            assert entry.success is not None
            assert (entry.success.status, entry.error) == ("404", None)

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("method", "target", "nearest"),
    [("POST", "/hello", "GET /hello"), ("GET", "/Hello", "GET /hello"), ("GET", "/profile", "GET /profile/*")],
)
def test_a_miss_names_the_nearest_route(tmp_path: Path, method: str, target: str, nearest: str) -> None:
    async def story(server: Served) -> None:
        await server.send(target, method=method)
        note = server.completions[-1].note
        assert note is not None
        assert note.startswith(f"no route; nearest is {nearest} (http.py:")

    serving(tmp_path, story)


def test_methods_that_are_none_of_the_routers(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for method in ("TRACE", "PROPFIND", "QUERY"):
            reply = await server.send("/hello", method=method)
            assert outcome(reply) == (405, None, b"")
        assert not server.entries

    serving(tmp_path, story)


def test_a_project_without_http_py(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"messages": ""}) as server:
            reply = await server.send("/x")
            assert reply.status == 404
            assert reply.text == "This Convex deployment does not have HTTP actions enabled."
            assert (reply.header("content-type") or "").startswith("text/plain")

    run(whole)


def test_headers_that_belong_to_the_server(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/cookies")
        assert reply.status == 201
        assert [pair for pair in reply.headers if pair[0] == "set-cookie"] == [
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]
        names = {name for name, _ in reply.headers}
        assert not names & {"connection", "keep-alive", "transfer-encoding"}
        assert reply.header("content-length") == "0"

    serving(tmp_path, story)


def test_no_content(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/nothing")
        assert outcome(reply) == (204, None, b"")
        assert reply.header("content-length") is None

    serving(tmp_path, story)


def test_streams_are_chunked(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/stream")
        assert outcome(reply) == (200, "text/event-stream", b"part 0;part 1;part 2;")
        assert reply.header("transfer-encoding") == "chunked"

    serving(tmp_path, story)


def test_an_uncaught_error(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/boom")
        assert (reply.status, reply.header("content-type")) == (500, "application/json")
        entry = server.completions[-1]
        assert reply.json["code"] == f"[Request ID: {entry.request_id}] Server Error: Uncaught ValueError: boom"
        assert reply.json["trace"].startswith("Uncaught ValueError: boom\n    at boom (../convex/http.py:")
        assert str(tmp_path) not in reply.text
        assert (entry.identifier, entry.success, entry.status) == ("GET /boom", None, 500)
        assert entry.error == reply.json["trace"]
        assert server.printed == ["[LOG] 'before' 42"]

    serving(tmp_path, story)


def test_an_uncaught_convex_error(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/convex-error")
        assert reply.status == 500
        assert reply.json["data"] == {"code": "NO_CHANNEL", "number": 5.0}
        assert 'Uncaught ConvexError: {"code"' in reply.json["code"]

    serving(tmp_path, story)


def test_redacted_errors(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert set((await server.send("/boom")).json) == {"code"}
        assert (await server.send("/boom")).json["code"].endswith("] Server Error")
        assert set((await server.send("/convex-error")).json) == {"code", "data"}
        assert "boom" in (server.completions[0].error or "")

    serving(tmp_path, story, redact=True)


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/wrong", "HTTP actions must return a Response"),
        ("/used", "body stream already read"),
        ("/control", "The header 'x-bad' has a control character in its value"),
    ],
)
def test_responses_that_cannot_be_sent(tmp_path: Path, target: str, text: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.send(target)
        assert reply.status == 500
        assert text in reply.json["code"]
        assert text in (server.completions[-1].error or "")

    serving(tmp_path, story)


def test_an_error_while_streaming_cuts_the_body(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/breaks")
        assert (reply.status, reply.body, reply.whole) == (200, b"first", False)
        entry = server.completions[-1]
        assert entry.success is not None
        assert entry.success.status == "200"
        assert any(line.startswith("[ERROR] ") and "half way" in line for line in server.printed)
        assert (await server.send("/hello")).status == 200

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, {"identity": None}),
        ("Bearer not-a-token", {"raised": "InvalidAuthHeader"}),
        ("Bearer aaaa.bbbb.cccc", {"raised": "InvalidAuthHeader"}),
        ("Basic dXNlcjpwYXNz", {"raised": "InvalidAdminKey"}),
        ("a", {"raised": "InvalidHeaderFailure"}),
        ("Bearer é", {"raised": "HeaderParseFailure"}),
        ("Convex wrong|key", {"raised": "BadAdminKey"}),
    ],
)
def test_identity_never_refuses_a_request(tmp_path: Path, header: str | None, expected: dict[str, object]) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/who", headers={"authorization": header} if header else {})
        assert reply.json == {**expected, "header": header}

    serving(tmp_path, story)


def test_the_admin_key_is_no_user(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/who", headers=server.admin)
        assert reply.json["identity"] is None
        assert server.completions[-1].identity_type == "instance_admin"
        assert (await server.send("/who?adminKey=wrong")).json["identity"] is None

    serving(tmp_path, story)


def test_the_log_entry(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        await server.send("/profile/17")
        entry = server.completions[-1]
        assert (entry.kind, entry.udf_type, entry.identifier) == ("Completion", "HttpAction", "GET /profile/*")
        assert (entry.caller, entry.identity_type, entry.environment) == ("HttpEndpoint", "unknown", "isolate")
        assert entry.success is not None
        assert (entry.success.status, entry.error, entry.log_lines) == ("200", None, [])
        assert (entry.cached_result, entry.return_bytes, entry.parent_execution_id) == (False, None, None)
        assert len(entry.request_id) == 16

    serving(tmp_path, story)


def test_the_api_address_has_the_routes_too(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await server.send("/http/hello", api=True)).text == "hello"
        assert (await server.send("/hello", api=True)).text == "hello"
        echoed = (await server.send("/http/echo?x=1", method="POST", body=b"b", api=True)).json
        assert echoed["url"] == "http://127.0.0.1/echo?x=1"
        assert (await server.send("/http/nowhere", api=True)).text == "No matching routes found"
        assert (await server.send("/http", api=True)).text == "No matching routes found"

    serving(tmp_path, story)


def test_a_host_header_that_names_no_host(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/hello", headers={"host": "a b/c"})
        assert (reply.status, reply.json["code"]) == (400, "BadHost")
        reply = await server.say(b"GET /hello HTTP/1.0\r\n\r\n")
        assert (reply.status, reply.text) == (200, "hello")

    serving(tmp_path, story)


LIMITS = Limits(http_request_bytes=1000, http_response_bytes=1000, action_seconds=0.3, concurrent_actions=2)

LIMITED = """
import asyncio
from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/take", method="POST")
async def take(ctx, request: Request):
    return Response.json(len(await request.bytes()))


@http.route(path="/ignore", method="POST")
async def ignore(ctx, request: Request):
    return Response("ignored")


@http.route(path="/give/{size:int}", method="GET")
async def give(ctx, request: Request):
    return Response("x" * request.path_params["size"])


@http.route(path="/file/{size:int}", method="GET")
async def file(ctx, request: Request):
    async def parts():
        for at in range(0, request.path_params["size"], 100):
            yield bytes(100)
    storage_id = await ctx.storage.store(await Response(parts()).blob())
    return Response(await ctx.storage.get(storage_id))


@http.route(path="/pour/{size:int}", method="GET")
async def pour(ctx, request: Request):
    async def parts():
        for _ in range(request.path_params["size"] // 100):
            yield "x" * 100

    return Response(parts())


@http.route(path="/forever", method="GET")
async def forever(ctx, request: Request):
    await asyncio.Event().wait()


default = http
"""


def limited(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": LIMITED}, limits=LIMITS) as server:
            await story(server)

    run(whole)


def test_a_request_over_the_limit_by_its_own_account(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/take", method="POST", body=b"x" * 1001)
        assert (reply.status, reply.json["code"]) == (413, "RequestTooLarge")
        assert "1000" in reply.json["message"]
        assert server.completions[-1].status == 413
        assert (await server.send("/take", method="POST", body=b"x" * 1000)).json == 1000

    limited(tmp_path, story)


def test_a_stream_that_crosses_the_limit(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
        head = b"POST /take HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        reply = await server.say(head + chunk * 11 + b"0\r\n\r\n", method="POST")
        assert (reply.status, reply.json["code"]) == (413, "RequestTooLarge")
        reply = await server.say(head + chunk * 10 + b"0\r\n\r\n", method="POST")
        assert reply.json == 1000

    limited(tmp_path, story)


def test_a_large_body_that_nobody_reads(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": LIMITED}) as server:
            reader, writer = await server.connect()
            body = b"x" * (8 * 2**20)
            for _ in range(2):
                writer.write(b"POST /ignore HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                assert (await read_reply(reader)).text == "ignored"
            writer.close()

    run(whole)


def test_a_body_without_end_that_nobody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.http.request_body.LINGER_SECONDS", 0.05)

    async def whole() -> None:
        async with served(tmp_path, {"http": LIMITED}) as server:
            reader, writer = await server.connect()
            writer.write(b"POST /ignore HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            answer = asyncio.ensure_future(read_reply(reader))
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(chunk)
                    await writer.drain()
            assert (await answer).text == "ignored"

    run(whole)


def test_a_response_at_the_limit(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert len((await server.send("/give/1000")).body) == 1000
        assert any("Large response returned from an HTTP action (actual: 1000 bytes" in line for line in server.printed)
        assert len((await server.send("/pour/1000")).body) == 1000
        file = await server.send("/file/1000")
        assert (file.header("content-length"), len(file.body), file.whole) == ("1000", 1000, True)

    limited(tmp_path, story)


def test_a_response_over_the_limit(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/give/1001")
        assert (reply.status, reply.body, reply.whole) == (200, b"", False)
        assert any(line.startswith("[ERROR] HttpResponseTooLarge") for line in server.printed)
        server.entries.clear()
        reply = await server.send("/pour/5000")
        assert (reply.status, len(reply.body)) == (200, 1000)
        assert any(line.startswith("[ERROR] HttpResponseTooLarge") for line in server.printed)
        server.entries.clear()
        reply = await server.send("/file/1100")
        assert (reply.header("content-length"), reply.whole) == ("1100", False)
        assert any(line.startswith("[ERROR] HttpResponseTooLarge") for line in server.printed)

    limited(tmp_path, story)


def test_a_handler_that_never_returns(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/forever")
        assert reply.status == 500
        assert "Function execution timed out (maximum duration: 0.3s)" in reply.json["code"]

    limited(tmp_path, story)


def test_a_webhook_that_is_not_what_its_sender_signed(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        signature = {"x-hub-signature-256": "sha256=" + "0" * 64}
        reply = await server.send("/signed", method="POST", headers=signature, body=b"{}")
        assert (reply.status, reply.json["code"]) == (400, "WebhookSignatureMismatch")
        entry = server.completions[-1]
        assert (entry.status, entry.error, entry.note) == (400, reply.json["message"], None)
        assert (entry.hint or "").startswith("Check that the secret is that of this endpoint.")

    serving(tmp_path, story)


def test_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.engine.permits.ACTION_PATIENCE_SECONDS", 0.01)

    async def story(server: Served) -> None:
        waiting = [asyncio.ensure_future(server.send("/forever")) for _ in range(LIMITS.concurrent_actions)]
        await server.until(lambda: server.host.app.busy)
        reply = await server.send("/give/1")
        while reply.status == 200:  # those that wait may not have got their places yet
            reply = await server.send("/give/1")
        assert (reply.status, reply.json["code"]) == (429, "TooManyConcurrentRequests")
        assert server.completions[-1].identifier == "GET /give/{size:int}"
        assert [each.status for each in await asyncio.gather(*waiting)] == [500, 500]
        assert (await server.send("/give/1")).status == 200

    limited(tmp_path, story)


LEAVING = """
import asyncio
from pyconvex.server import Request, Response, http_router

http = http_router()
started, ended = asyncio.Event(), asyncio.Event()


async def until_left(request):
    assert not request.signal.aborted
    started.set()
    while not request.signal.aborted:
        await asyncio.sleep(0.001)


@http.route(path="/slow", method="GET")
async def slow(ctx, request: Request):
    await until_left(request)
    return Response("late")


@http.route(path="/stream", method="GET")
async def stream(ctx, request: Request):
    async def parts():
        yield "first"
        await until_left(request)
        for _ in range(3):
            yield "more"
        ended.set()

    return Response(parts())


default = http
"""


def test_a_client_that_leaves_before_the_answer(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": LEAVING}) as server:
            _reader, writer = await server.connect()
            writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            await server.host.registry.modules["http"].started.wait()
            writer.close()
            await server.until(lambda: bool(server.completions))
            entry = server.completions[-1]
            assert (entry.error, entry.success) == ("Client disconnected", None)

    run(whole)


def test_a_client_that_leaves_a_stream(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": LEAVING}) as server:
            module = server.host.registry.modules["http"]
            _reader, writer = await server.connect()
            writer.write(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
            await module.started.wait()
            writer.close()
            await module.ended.wait()
            await server.until(lambda: bool(server.completions))
            entry = server.completions[-1]
            assert entry.success is not None
            assert (entry.success.status, entry.error) == ("200", None)
            assert "[INFO] Client disconnected" in server.printed

    run(whole)


CORS = """
from pyconvex.server import Cors, Request, Response, http_router

http = http_router(cors=Cors(origins=["https://my.site"]))


@http.route(path="/a", method="POST")
async def a(ctx, request: Request):
    return Response("a")


@http.route(path="/a", method="GET")
async def fails(ctx, request: Request):
    raise ValueError("no")


@http.route(path="/own", method="OPTIONS")
async def own(ctx, request: Request):
    return Response("mine")


default = http
"""


def test_cors_of_the_router(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": CORS}) as server:
            asks = {"origin": "https://my.site", "access-control-request-method": "POST"}
            preflight = await server.send("/a", method="OPTIONS", headers=asks)
            assert preflight.status == 204
            assert preflight.header("access-control-allow-origin") == "https://my.site"
            assert set((preflight.header("access-control-allow-methods") or "").split(", ")) == {"GET", "POST"}
            for method, status in (("POST", 200), ("GET", 500)):
                reply = await server.send("/a", method=method, headers={"origin": "https://my.site"})
                assert reply.status == status
                allowed = [value for name, value in reply.headers if name == "access-control-allow-origin"]
                assert allowed == ["https://my.site"]
            assert (await server.send("/own", method="OPTIONS", headers=asks)).text == "mine"
            assert (await server.send("/b", method="OPTIONS", headers=asks)).status == 404
            foreign = await server.send("/a", method="POST", headers={"origin": "https://other.site"})
            assert foreign.header("access-control-allow-origin") is None

    run(whole)


MOUNTED = """
import json
from pyconvex.server import current_ctx, http_router, internal_query, Response
from ._generated.api import internal

http = http_router()


@internal_query
async def answer(ctx) -> int:
    return 42


async def app(scope, receive, send):
    if scope["path"].endswith("/boom"):
        raise RuntimeError("mounted boom")
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    found = {
        "path": scope["path"],
        "root_path": scope["root_path"],
        "method": scope["method"],
        "body": body.decode(),
        "answer": await current_ctx().run_query(internal.http.answer),
    }
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(found).encode()})


http.mount("/api/", app)
default = http
"""


def test_a_mounted_application(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": MOUNTED}) as server:
            reply = await server.send("/api/items/1", method="PATCH", body=b"hi")
            assert reply.status == 202
            found = {"path": "/api/items/1", "root_path": "/api", "method": "PATCH", "body": "hi", "answer": 42}
            assert reply.json == found
            assert server.completions[-1].identifier == "PATCH /api/*"
            aliased = await server.send("/http/api/items/1", api=True)
            assert aliased.json["root_path"] == "/http/api"
            failed = await server.send("/api/boom")
            assert failed.status == 500
            assert "mounted boom" in json.dumps(failed.json)

    run(whole)


def test_user_routes_below_api(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": MOUNTED}) as server:
            assert (await server.send("/api/own", api=True)).status == 202
            assert (await server.send("/api/query", method="DELETE", api=True)).status == 202, (
                "no method of the endpoint"
            )
            assert (await server.send("/api/query", api=True)).status == 400, "the endpoint wins"

    run(whole)
