"""Applications of FastAPI and Starlette below `http.mount`, over real sockets."""

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.host import Host, HostOptions
from pyconvex.settings import Limits
from support.served import Reply, Served, read_reply, run, served, write_modules

FASTAPI = """
from typing import Annotated

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pyconvex.server import current_ctx, http_router, internal_mutation, internal_query
from ._generated.api import internal

app = FastAPI(title="Chat")
http = http_router()
done = []


class Message(BaseModel):
    author: str
    body: str


def author_of(author: str = "nobody") -> str:
    return author


@internal_mutation
async def add(ctx, author: str, body: str) -> str:
    return await ctx.db.insert("messages", {"author": author, "body": body})


@internal_query
async def of(ctx, author: str) -> list[str]:
    return [each["body"] for each in await ctx.db.query("messages").collect() if each["author"] == author]


@app.post("/messages", status_code=201)
async def post(message: Message) -> dict[str, str]:
    return {"id": await current_ctx().run_mutation(internal.http.add, author=message.author, body=message.body)}


@app.get("/messages")
async def messages(author: Annotated[str, Depends(author_of)]) -> list[str]:
    return await current_ctx().run_query(internal.http.of, author=author)


@app.get("/threaded")
def threaded() -> str:
    return type(current_ctx()).__name__


@app.get("/gone")
async def gone():
    raise HTTPException(410, "it is gone", headers={"x-why": "age"})


@app.get("/boom")
async def boom():
    raise ValueError("mounted boom")


@app.get("/stream")
async def stream():
    async def parts():
        for number in range(3):
            yield f"part {number};"

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/breaks")
async def breaks():
    async def parts():
        yield "first"
        raise RuntimeError("half way")

    return StreamingResponse(parts())


@app.get("/later")
async def later(tasks: BackgroundTasks) -> str:
    tasks.add_task(done.append, "later")
    return "now"


@app.get("/headers")
async def headers():
    from fastapi import Response as Answer

    return Answer("x", headers={"x-bad": "a\\r\\nset-cookie: stolen=1"})


http.mount("/api/", app)
default = http
"""


def story(tmp_path: Path, text: str, tell: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"http": text}, **options) as server:
            await tell(server)

    run(whole)


def posted(author: str) -> dict[str, Any]:
    body = json.dumps({"author": author, "body": f"I am {author}"}).encode()
    return {"method": "POST", "headers": {"content-type": "application/json"}, "body": body}


def test_fastapi_with_the_ctx_of_the_request(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        replies = await asyncio.gather(*(server.send("/api/messages", **posted(name)) for name in ("Ada", "Bob")))
        assert [(reply.status, len(reply.json["id"])) for reply in replies] == [(201, 32)] * 2
        assert (await server.send("/api/messages?author=Ada")).json == ["I am Ada"]
        assert (await server.send("/api/threaded")).json == "ActionCtx", "FastAPI runs plain functions in threads"
        assert server.completions[-1].identifier == "GET /api/*"
        (called,) = [entry for entry in server.completions if entry.identifier == "http:of"]
        requests = [entry for entry in server.completions if entry.request_id == called.request_id]
        assert len(requests) == 2, "the query is a part of its request"

    story(tmp_path, FASTAPI, tell)


def test_fastapi_answers_what_is_wrong_itself(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        invalid = await server.send("/api/messages", method="POST", headers={"content-type": "application/json"})
        assert (invalid.status, invalid.json["detail"][0]["type"]) == (422, "missing")
        gone = await server.send("/api/gone")
        assert (gone.status, gone.json, gone.header("x-why")) == (410, {"detail": "it is gone"}, "age")
        missing = await server.send("/api/nothing")
        assert (missing.status, missing.json) == (404, {"detail": "Not Found"})
        wrong_method = await server.send("/api/gone", method="DELETE")
        assert (wrong_method.status, wrong_method.header("allow")) == (405, "GET")
        assert [entry.error for entry in server.completions] == [None] * 4

    story(tmp_path, FASTAPI, tell)


def test_an_exception_of_the_application(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        failed = await server.send("/api/boom")
        assert (failed.status, failed.text) == (500, "Internal Server Error"), "Starlette's own page"
        entry = server.completions[-1]
        assert entry.error is not None
        assert entry.error.startswith("Uncaught ValueError: mounted boom\n    at boom (../convex/http.py:")
        assert (await server.send("/api/gone")).status == 410, "the connection and the app go on"

    story(tmp_path, FASTAPI, tell)


def test_streams_of_the_application(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        whole = await server.send("/api/stream")
        assert (whole.text, whole.header("transfer-encoding")) == ("part 0;part 1;part 2;", "chunked")
        cut = await server.send("/api/breaks")
        assert (cut.status, cut.body, cut.whole) == (200, b"first", False)
        error = server.completions[-1].error
        assert error is not None
        assert "half way" in error
        head = await server.send("/api/stream", method="HEAD")
        assert (head.status, head.body) == (405, b""), "FastAPI registers no HEAD"

    story(tmp_path, FASTAPI, tell)


def test_background_tasks_run_after_the_response(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        assert (await server.send("/api/later")).json == "now"
        await server.until(lambda: server.host.registry.modules["http"].done == ["later"])

    story(tmp_path, FASTAPI, tell)


def test_docs_and_schema_know_the_prefix(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        docs = await server.send("/api/docs")
        assert (docs.status, "/api/openapi.json" in docs.text) == (200, True)
        assert (await server.send("/api/openapi.json")).json["servers"] == [{"url": "/api"}]
        aliased = await server.send("/http/api/openapi.json", api=True)
        assert aliased.json["servers"] == [{"url": "/http/api"}]

    story(tmp_path, FASTAPI, tell)


def test_headers_cannot_be_injected(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        reply = await server.send("/api/headers")
        assert (reply.status, reply.header("set-cookie")) == (500, None)
        assert "control character" in (server.completions[-1].error or "")

    story(tmp_path, FASTAPI, tell)


STARLETTE = """
import contextlib
import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from pyconvex.server import Cors, current_ctx, http_router

http = http_router({router})
events = []
VERSION = {version}


@contextlib.asynccontextmanager
async def lifespan(app):
    events.append("started")
    try:
        current_ctx()
    except Exception as error:
        events.append(error.code)
    yield {{"pool": f"pool of {{VERSION}}", "variable": os.environ.get("GREETING")}}
    events.append("ended")


async def state(request):
    request.state.mine = "x"
    return JSONResponse({{"pool": request.state.pool, "variable": request.state.variable}})


async def item(request):
    return JSONResponse({{
        "name": request.path_params["name"],
        "query": dict(request.query_params),
        "url": str(request.url),
        "made": str(request.url_for("item", name="b")),
        "client": request.client.host,
    }})


async def redirect(request):
    return RedirectResponse(request.url_for("item", name="there"), 307)


async def upload(request):
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
    except ClientDisconnect:
        events.append("cut")
        raise
    return PlainTextResponse(str(size))


async def endless(request):
    async def parts():
        while True:
            yield "x" * 1000

    return StreamingResponse(parts())


async def socket(websocket):
    await websocket.accept()


app = Starlette(
    routes=[
        Route("/state", state),
        Route("/items/{{name}}", item, name="item"),
        Route("/redirect", redirect),
        Route("/slash/", state),
        Route("/upload", upload, methods=["POST"]),
        Route("/endless", endless),
        WebSocketRoute("/ws", socket),
    ],
    middleware=[Middleware(GZipMiddleware, minimum_size=10)],
    lifespan=lifespan,
)
http.mount("/deep/app/", app{mount})
default = http
"""


def starlette(router: str = "", version: int = 1, mount: str = "") -> str:
    return STARLETTE.format(router=router, version=version, mount=mount)


def events(server: Served) -> list[str]:
    return server.host.registry.modules["http"].events


def test_urls_and_redirects_know_the_prefix(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        host = {"host": "my.site:8080"}
        plain = (await server.send("/deep/app/items/a%20b?x=1", headers=host)).json
        assert (plain["name"], plain["query"], plain["client"]) == ("a b", {"x": "1"}, "127.0.0.1")
        assert plain["url"] == "http://my.site:8080/deep/app/items/a b?x=1", "Starlette decodes it"
        assert plain["made"] == "http://my.site:8080/deep/app/items/b"
        named = await server.send("/deep/app/redirect", headers=host)
        assert (named.status, named.header("location")) == (307, "http://my.site:8080/deep/app/items/there")
        slash = await server.send("/deep/app/slash", headers=host)
        assert (slash.status, slash.header("location")) == (307, "http://my.site:8080/deep/app/slash/")
        aliased = await server.send("/http/deep/app/slash", headers=host, api=True)
        assert aliased.header("location") == "http://my.site:8080/http/deep/app/slash/"
        followed = await server.send("/http/deep/app/slash/", headers=host, api=True)
        assert followed.status == 200

    story(tmp_path, starlette(), tell)


def test_middleware_of_the_application(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        zipped = await server.send("/deep/app/state", headers={"accept-encoding": "gzip"})
        assert (zipped.header("content-encoding"), zipped.header("vary")) == ("gzip", "Accept-Encoding")

    story(tmp_path, starlette(), tell)


def test_a_lifespan_goes_with_its_version(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        first, old = events(server), weakref.ref(server.host.registry)
        await server.until(lambda: first == ["started", "NoCurrentContext"])
        assert (await server.send("/deep/app/state")).json == {"pool": "pool of 1", "variable": None}
        assert (await server.send("/deep/app/state")).json["pool"] == "pool of 1", "requests get copies of the state"
        write_modules(tmp_path, {"http": starlette(version=2)})
        await server.host.environment.set_many({"GREETING": "hi"})
        await server.host.reload()
        await server.until(lambda: first[-1] == "ended")
        assert (await server.send("/deep/app/state")).json == {"pool": "pool of 2", "variable": "hi"}
        assert events(server) == ["started", "NoCurrentContext"]
        await server.until(lambda: not server.host.app.busy)
        await server.until(lambda: gc.collect() >= 0 and old() is None)

    story(tmp_path, starlette(), tell)


def test_a_lifespan_ends_with_the_deployment(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    async def tell(server: Served) -> None:
        seen.append(events(server))
        await server.until(lambda: "started" in seen[0])

    story(tmp_path, starlette(), tell)
    assert seen[0][-1] == "ended"


def test_a_deployment_opened_for_a_command_starts_no_application(tmp_path: Path) -> None:
    write_modules(tmp_path, {"http": starlette()})

    async def whole() -> None:
        async with Host.open(HostOptions(project=tmp_path, memory=True)) as host:
            await host.reload()
            await asyncio.sleep(0)
            assert host.registry.modules["http"].events == []

    run(whole)


BROKEN = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from pyconvex.server import http_router


@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    yield


app = FastAPI(lifespan=lifespan)
http = http_router()
http.mount("/api/", app)
default = http
"""


def test_a_lifespan_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def tell(server: Served) -> None:
        for _ in range(2):
            reply = await server.send("/api/docs")
            assert reply.status == 500
            expected = "The application mounted at /api/ did not start: RuntimeError: no database"
            assert expected in reply.json["code"]
            assert expected in (server.completions[-1].error or "")

    story(tmp_path, BROKEN, tell)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "pyconvex.http"]
    assert said.startswith("The application mounted at /api/ did not start: Traceback")


HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
}


@pytest.mark.parametrize(("target", "api"), [("/deep/app/ws", False), ("/http/deep/app/ws", True)])
def test_websockets_are_refused_clearly(tmp_path: Path, target: str, api: bool) -> None:
    async def tell(server: Served) -> None:
        reply = await server.send(target, headers=HANDSHAKE, api=api)
        assert (reply.status, reply.json["code"]) == (501, "WebSocketsNotSupported")
        assert "server-sent events" in reply.json["message"]
        entry = server.completions[-1]
        assert (entry.request, entry.status) == ("GET /deep/app/ws", 501)
        assert entry.note == reply.json["message"]
        assert (await server.send("/elsewhere", headers=HANDSHAKE, api=api)).status == 404

    story(tmp_path, starlette(), tell)


async def sent_in_chunks(server: Served, target: str, chunks: int) -> Reply:
    reader, writer = await server.connect()
    writer.write(f"POST {target} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    for _ in range(chunks):
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
    writer.write(b"0\r\n\r\n")
    try:
        return await read_reply(reader, "POST")
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(("mount", "limits"), [(", max_body_bytes=4096", {}), ("", {"http_request_bytes": 4096})])
def test_bodies_have_a_limit(tmp_path: Path, mount: str, limits: dict[str, int]) -> None:
    async def tell(server: Served) -> None:
        assert (await sent_in_chunks(server, "/deep/app/upload", 4)).text == "4096"
        over = await sent_in_chunks(server, "/deep/app/upload", 5)
        assert (over.status, over.json["code"]) == (413, "RequestTooLarge")
        assert "4096 bytes" in over.json["message"]
        assert events(server)[-1] == "cut", "the application sees its client leave"
        entry = server.completions[-1]
        assert (entry.status, entry.identifier) == (413, "POST /deep/app/*")
        announced = await server.send("/deep/app/upload", method="POST", body=b"x" * 4097)
        assert announced.status == 413

    story(tmp_path, starlette(mount=mount), tell, limits=Limits(**limits))


def test_a_client_that_leaves_ends_the_stream(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /deep/app/endless HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readexactly(1000)
        writer.transport.abort()
        await server.until(lambda: bool(server.completions))
        entry = server.completions[-1]
        assert (entry.status, entry.error) == (200, None)
        assert "[INFO] Client disconnected" in server.printed

    story(tmp_path, starlette(), tell)


def test_the_time_limit_of_actions_holds(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        reply = await server.send("/api/")
        assert (reply.status, "timed out" in reply.json["code"]) == (500, True)

    text = """
        import asyncio
        from pyconvex.server import http_router

        async def app(scope, receive, send):
            assert scope["type"] == "http"
            await asyncio.sleep(60)

        http = http_router()
        http.mount("/api/", app)
        default = http
    """
    story(tmp_path, text, tell, limits=Limits(action_seconds=0.2))


CORS = 'cors=Cors(origins=["https://my.site"], headers=["X-Key"])'


def test_cors_of_the_router_covers_mounts(tmp_path: Path) -> None:
    async def tell(server: Served) -> None:
        asks = {"origin": "https://my.site", "access-control-request-method": "PATCH"}
        preflight = await server.send("/deep/app/state", method="OPTIONS", headers=asks)
        assert preflight.status == 204
        assert preflight.header("access-control-allow-methods") == "GET, POST, PUT, DELETE, OPTIONS, PATCH"
        reply = await server.send("/deep/app/state", headers={"origin": "https://my.site"})
        assert [value for name, value in reply.headers if name == "access-control-allow-origin"] == ["https://my.site"]
        foreign = await server.send("/deep/app/state", headers={"origin": "https://other.site"})
        assert (foreign.status, foreign.header("access-control-allow-origin")) == (200, None)
        plain = await server.send("/deep/app/state", method="OPTIONS")
        assert plain.status == 405, "the application's own, as this is no preflight"

    story(tmp_path, starlette(router=CORS), tell)


RAW = """
from pyconvex.server import http_router

http = http_router()


async def app(scope, receive, send):
    match scope["path"].rpartition("/")[2]:
        case "nothing":
            return
        case "body-first":
            await send({"type": "http.response.body", "body": b"x"})
        case "twice":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.start", "status": 200, "headers": []})
        case "push":
            await send({"type": "http.response.push", "path": "/x", "headers": []})
        case "after":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"1")]})
            await send({"type": "http.response.body", "body": b"x"})
            await send({"type": "http.response.body", "body": b"y"})
        case "waits":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
            while (await receive())["type"] != "http.disconnect":
                pass
        case "half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        case "hop":
            headers = [(b"connection", b"close"), (b"Keep-Alive", b"5"), (b"X-Mine", b"1")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})


http.mount("/", app)
default = http
"""

MISBEHAVIOUR = [
    ("/nothing", 500, "ended without a response"),
    ("/body-first", 500, "sent a body before http.response.start"),
    ("/twice", 200, "began its response twice"),
    ("/push", 500, "'http.response.push' is no message of an HTTP response"),
    ("/after", 200, None),
    ("/waits", 200, None),
    ("/half", 200, "ended in the middle of its response"),
    ("/hop", 200, None),
]


@pytest.mark.parametrize(("target", "status", "error"), MISBEHAVIOUR)
def test_applications_that_break_the_rules_of_asgi(tmp_path: Path, target: str, status: int, error: str | None) -> None:
    async def tell(server: Served) -> None:
        reply = await server.send(target)
        assert reply.status == status
        await server.until(lambda: bool(server.completions))
        told = server.completions[-1].error
        assert (told is None) == (error is None)
        assert error is None or error in (told or "")
        if target == "/hop":
            assert (reply.header("x-mine"), reply.header("keep-alive")) == ("1", None)
        if target == "/after":
            assert (reply.body, reply.whole) == (b"x", True)
        assert reply.whole is (target not in ("/half", "/twice"))
        assert server.printed == []

    story(tmp_path, RAW, tell)
