"""The client API over real sockets: shapes, formats, refusals, CORS."""

import base64
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.settings import Limits
from support.served import Served, run, served

MESSAGES = """
import asyncio
from pyconvex.server import action, internal_mutation, mutation, query
from pyconvex.values import ConvexError, Int64


@query
async def values(ctx):
    return {"big": Int64(5), "number": 5, "half": 0.5, "bytes": b"ab", "none": None}


@query
async def echo(ctx, value):
    print("listing", "general")
    return value


@query
async def who(ctx):
    identity = await ctx.auth.get_user_identity()
    return None if identity is None else identity["tokenIdentifier"]


@mutation
async def send(ctx, body: str):
    return await ctx.db.insert("messages", {"body": body})


@query
async def count(ctx):
    return len(await ctx.db.query("messages").collect())


@mutation
async def fail(ctx, data):
    await ctx.db.insert("messages", {"body": "undone"})
    raise ConvexError(data)


@action
async def broken(ctx):
    raise ValueError("no such channel")


@action
async def never(ctx):
    await asyncio.sleep(60)


@internal_mutation
async def hidden(ctx):
    return "found"


@query
async def default(ctx):
    return "the default"
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"messages": MESSAGES, "admin/reports": MESSAGES}, **options) as server:
            await story(server)

    run(whole)


def body(path: str, args: object = None, **more: object) -> dict[str, object]:
    return {"path": path, "args": {} if args is None else args, **more}


def test_success(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query", body("messages:echo", {"value": [1, "a"]}))
        assert (reply.status, reply.header("content-type")) == (200, "application/json")
        assert reply.json == {"status": "success", "value": [1.0, "a"], "logLines": ["[LOG] 'listing' 'general'"]}
        assert b'"value":[1.0,"a"]' in reply.body, "the Python client refuses a number without a point"

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (
            "convex_encoded_json",
            b'{"big":{"$integer":"BQAAAAAAAAA="},"bytes":{"$bytes":"YWI="},"half":0.5,"none":null,"number":5.0}',
        ),
        (
            "convex_json",
            b'{"big":{"$integer":"BQAAAAAAAAA="},"bytes":{"$bytes":"YWI="},"half":0.5,"none":null,"number":5.0}',
        ),
        ("convex_clean_json", b'{"big":"5","bytes":"YWI=","half":0.5,"none":null,"number":5.0}'),
        ("json", b'{"big":"5","bytes":"YWI=","half":0.5,"none":null,"number":5.0}'),
        ("export_json", b'{"big":5,"bytes":{"$bytes":"YWI="},"half":0.5,"none":null,"number":5.0}'),
    ],
)
def test_formats(tmp_path: Path, shape: str, value: bytes) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query", body("messages:values", format=shape))
        assert json.loads(reply.body)["value"] == json.loads(value)
        if shape == "json":
            assert (await server.call("/api/query", body("messages:values"))).body == reply.body
        old = await server.call("/api/query", body("messages:values"), convex_client="python-0.4.0")
        assert old.json["value"]["big"] == {"$integer": "BQAAAAAAAAA="}

    serving(tmp_path, story)


def test_a_call_that_takes_too_long(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for path in ("/api/action", "/api/run/messages/never"):
            reply = await server.call(path, body("messages:never"))
            assert (reply.status, reply.json["code"]) == (408, "RequestTimeout")
        assert (await server.call("/api/query", body("messages:count"))).json["value"] == 0

    serving(tmp_path, story, limits=Limits(api_request_seconds=0.2))


def test_arguments_in_a_list_of_one(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        wrapped = await server.call("/api/query", body("messages:echo", [{"value": {"$integer": "BwAAAAAAAAA="}}]))
        assert wrapped.json["value"] == "7"
        assert (await server.call("/api/query", body("messages:who", []))).json["status"] == "success"
        positional = await server.call("/api/query", body("messages:echo", [1, 2]))
        assert (positional.status, positional.json["status"]) == (200, "error")

    serving(tmp_path, story)


def test_errors_of_functions_are_answered_with_200(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/action", body("messages:broken"), convex_request_id="5b0f1d9c27ae4468")
        assert reply.status == 200
        assert set(reply.json) == {"status", "errorMessage"}
        message = reply.json["errorMessage"]
        first, second, frame = message.removesuffix("\n").split("\n")
        assert first == "[Request ID: 5b0f1d9c27ae4468] Server Error"
        assert second == "Uncaught ValueError: no such channel"
        assert frame.startswith("    at broken (../convex/messages.py:")
        assert message.endswith(")\n")

    serving(tmp_path, story)


@pytest.mark.parametrize("data", [None, "text", {"code": "NO_CHANNEL"}, [1.5]])
def test_the_data_of_a_convex_error(tmp_path: Path, data: object) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/mutation", body("messages:fail", {"data": data}))
        assert reply.json["status"] == "error"
        assert reply.json["errorData"] == data
        assert (await server.call("/api/query", body("messages:count"))).json["value"] == 0

    serving(tmp_path, story)


def test_redaction(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/action", body("messages:broken"))
        assert reply.json["errorMessage"].endswith("] Server Error")
        reply = await server.call("/api/mutation", body("messages:fail", {"data": 1}))
        assert reply.json["errorData"] == 1
        assert "logLines" not in (await server.call("/api/query", body("messages:echo", {"value": 1}))).json

    serving(tmp_path, story, redact=True)


def test_kinds(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        sent = await server.call("/api/mutation", body("messages:send", {"body": "hi"}))
        assert sent.json["status"] == "success"
        assert (await server.call("/api/query", body("messages:count"))).json["value"] == 1
        wrong = await server.call("/api/mutation", body("messages:count"))
        assert "as Mutation, but it is defined as Query" in wrong.json["errorMessage"]
        for endpoint in ("/api/function", "/api/run/messages/count"):
            assert (await server.call(endpoint, body("messages:count"))).json["value"] == 1
        nested = await server.call("/api/run/admin/reports/count", {"args": {}})
        assert nested.json["value"] == 1

    serving(tmp_path, story)


def test_query_over_get(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.send("/api/query?path=messages:echo&args=%7B%22value%22%3A1%7D&format=json", api=True)
        assert reply.json["value"] == 1.0
        assert (await server.send("/api/query?path=messages:count", api=True)).json["value"] == 0
        for query, code in (("", "BadQueryArgs"), ("path=messages:echo&args=%7B", "BadJsonBody")):
            reply = await server.send(f"/api/query?{query}", api=True)
            assert (reply.status, reply.json["code"]) == (400, code)

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("messages/count", 200, {"value": 0.0}),
        ("messages/default", 200, {"value": "the default"}),
        ("admin%2Freports/count", 200, {"value": 0.0}),
        ("admin/reports/default", 200, {"value": "the default"}),
        ("messages%20/count", 400, {"code": "BadConvexFunctionIdentifier"}),
        ("messages", 400, {"code": "MissingIdentifier"}),
        ("messages/", 400, {"code": "MissingIdentifier"}),
        ("messages//count", 400, {"code": "MissingIdentifier"}),
        ("", 400, {"code": "MissingIdentifier"}),
        ("messages/hidden", 200, {"status": "error"}),
        ("messages/lsit", 200, {"status": "error"}),
        ("nowhere/list", 200, {"status": "error"}),
    ],
)
def test_functions_named_by_the_url(tmp_path: Path, path: str, status: int, answer: dict[str, object]) -> None:
    async def story(server: Served) -> None:
        reply = await server.call(f"/api/run/{path}", {"args": {}})
        assert reply.status == status
        assert {name: reply.json[name] for name in answer} == answer
        if answer == {"status": "error"}:
            text = f"Could not find function for '{path.replace('/', ':')}'. Did you forget to run `pyconvex dev`?"
            assert text in reply.json["errorMessage"]
        without = await server.call("/api/run/messages/count", {"format": "json"})
        assert (without.status, without.json["code"]) == (400, "BadJsonBody")

    serving(tmp_path, story)


@pytest.mark.parametrize(
    "path", ["messages:echo", "messages.js:echo", "messages.py:echo", "admin/reports:echo", "admin/reports.js:echo"]
)
def test_paths(tmp_path: Path, path: str) -> None:
    async def story(server: Served) -> None:
        assert (await server.call("/api/query", body(path, {"value": 1}))).json["value"] == 1.0
        for default in ("messages", "messages:default", "messages.js"):
            assert (await server.call("/api/query", body(default))).json["value"] == "the default"

    serving(tmp_path, story)


@pytest.mark.parametrize(
    "path", ["messages:li-st", "/messages:x", "a//b:x", "../secret:x", "a.txt:x", "a b:c", ":", "é:x", "a:"]
)
def test_paths_that_are_none(tmp_path: Path, path: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query", body(path))
        assert (reply.status, reply.json["code"]) == (400, "BadConvexFunctionIdentifier")
        assert path in reply.json["message"]

    serving(tmp_path, story)


def test_functions_that_are_not_there(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for path in ("messages:lsit", "messages:hidden", "nowhere:x", "_system/cli/tables:default"):
            reply = await server.call("/api/query", body(path))
            assert f"Could not find public function for '{path}'." in reply.json["errorMessage"]
        reply = await server.call("/api/function", body("messages:lsit"))
        assert reply.status == 200
        assert "Could not find function for 'messages:lsit'" in reply.json["errorMessage"]

    serving(tmp_path, story)


def test_admins_reach_internal_functions(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for endpoint in ("/api/mutation", "/api/function", "/api/run/messages/hidden"):
            assert (await server.call(endpoint, body("messages:hidden"), **server.admin)).json["value"] == "found"
        ada = base64.b64encode(json.dumps({"issuer": "https://x", "subject": "ada"}).encode()).decode()
        acting = {"authorization": f"Convex {server.host.admin_key}:{ada}"}
        assert (await server.call("/api/query", body("messages:who"), **acting)).json["value"] == "https://x|ada"
        assert (await server.call("/api/mutation", body("messages:hidden"), **acting)).json["value"] == "found"
        assert (await server.call("/api/function", body("messages:hidden"), **acting)).json["status"] == "error"
        keyed = f"/api/mutation?adminKey={server.host.admin_key.replace('|', '%7C')}"
        assert (await server.call(keyed, body("messages:hidden"))).json["value"] == "found"

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ("Bearer aaaa.bbbb.cccc", 401, "InvalidAuthHeader"),
        ("Bearer nonsense", 401, "InvalidAuthHeader"),
        ("Basic dXNlcjpwYXNz", 400, "InvalidAdminKey"),
        ("Convex a|b", 401, "BadAdminKey"),
        ("short", 400, "InvalidHeaderFailure"),
    ],
)
def test_authorization_is_verified_before_anything_runs(tmp_path: Path, header: str, status: int, code: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/mutation", body("messages:send", {"body": "x"}), authorization=header)
        assert (reply.status, reply.json["code"]) == (status, code)
        assert set(reply.json) == {"code", "message"}
        assert (await server.call("/api/query", body("messages:count"))).json["value"] == 0

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "BadJsonBody"),
        (b"{", "BadJsonBody"),
        (b"[]", "BadJsonBody"),
        (b"null", "BadJsonBody"),
        (b'{"path":"messages:echo"}', "BadJsonBody"),
        (b'{"args":{}}', "BadJsonBody"),
        (b'{"path":5,"args":{}}', "BadJsonBody"),
        (b'{"path":"messages:echo","args":{"value":"\xff"}}', "BadJsonBody"),
        (b'{"path":"messages:echo","args":{"value":"\\ud800"}}', "BadJsonBody"),
        (b'{"path":"messages:echo","args":{"value":{"$integer":"nonsense"}}}', "BadJsonBody"),
        (b'{"path":"messages:echo","args":{"value":{"$what":1}}}', "BadJsonBody"),
        (b'{"path":"messages:echo","args":{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "BadJsonBody"),
        (b'{"path":"messages:echo","args":' + b'{"value":' * 3000 + b"1" + b"}" * 3000 + b"}", "BadJsonBody"),
        (b'{"path":"messages:echo","args":{"value":1},"format":"xml"}', "BadFormat"),
        (b'{"path":"messages:echo","args":{"value":1},"format":""}', "BadFormat"),
        (b'{"path":"messages:echo","args":{"value":1},"componentPath":"other"}', "ComponentNotFound"),
        (b'{"path":"\\u0000:x","args":{}}', "BadConvexFunctionIdentifier"),
    ],
)
def test_bodies_that_are_none(tmp_path: Path, text: bytes, code: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query", text)
        assert (reply.status, reply.json["code"]) == (400, code), reply.text[:300]
        assert reply.json["message"]

    serving(tmp_path, story)


def test_odd_but_legal_numbers(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for text in (b"1e400", b"123456789012345678901234567890", b"-0.0", b"0.1"):
            reply = await server.call("/api/query", b'{"path":"messages:echo","args":{"value":' + text + b"}}")
            assert reply.status in (200, 400), "never a 500"

    serving(tmp_path, story)


def test_content_types(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        text = json.dumps(body("messages:count")).encode()
        for content_type in (None, "text/plain", "application/x-www-form-urlencoded", "\xff"):
            headers = {} if content_type is None else {"content-type": content_type}
            reply = await server.send("/api/query", method="POST", headers=headers, body=text, api=True)
            assert (reply.status, reply.json["code"]) == (400, "BadJsonBody")
            assert "Expected request with `Content-Type: application/json`" in reply.json["message"]
        reply = await server.call("/api/query", text, content_type="Application/JSON; charset=utf-8")
        assert reply.status == 200

    serving(tmp_path, story)


def test_client_versions(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for version, code in (("npm-0.19.0", "ClientVersionUnsupported"), ("nonsense", "InvalidClientVersion")):
            reply = await server.call("/api/query", body("messages:count"), convex_client=version)
            assert (reply.status, reply.json["code"]) == (400, code)

    serving(tmp_path, story)


def test_request_ids_from_outside_are_checked(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query", body("messages:nowhere"), convex_request_id="x] forged")
        assert "forged" not in reply.json["errorMessage"]

    serving(tmp_path, story)


def test_other_paths(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        welcome = await server.send("/", api=True)
        assert welcome.text == "This Convex deployment is running. See https://docs.convex.dev/."
        assert (await server.send("/version", api=True)).status == 200
        assert (await server.send("/instance_name", api=True)).text == server.host.deployment.name
        missing = await server.send("/api/nowhere", api=True)
        assert (missing.status, missing.body) == (404, b"")
        wrong = await server.send("/api/mutation", api=True)
        assert (wrong.status, wrong.body) == (405, b"")
        unsupported = await server.send("/api/deploy2/start_push", method="POST", api=True)
        assert (unsupported.status, set(unsupported.json)) == (400, {"code", "message"})

    serving(tmp_path, story)


def test_cors(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        origin = {"origin": "http://localhost:5173"}
        asks = {**origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type,x-y"}
        preflight = await server.send("/api/query", method="OPTIONS", headers=asks, api=True)
        assert (preflight.status, preflight.body) == (200, b"")
        assert preflight.header("access-control-allow-headers") == "content-type,x-y"
        assert preflight.header("access-control-allow-methods") == "GET,POST,OPTIONS,PATCH,DELETE,PUT"
        assert preflight.header("access-control-max-age") == "86400"
        for reply in (
            preflight,
            await server.call("/api/query", body("messages:count"), **origin),
            await server.call("/api/query", b"{", **origin),
            await server.send("/api/nowhere", headers=origin, api=True),
            await server.send("/api/mutation", headers=origin, api=True),
            await server.send("/version", headers=origin, api=True),
        ):
            assert reply.header("access-control-allow-origin") == "http://localhost:5173"
            assert reply.header("access-control-allow-credentials") == "true"
        assert (await server.send("/version", api=True)).header("access-control-allow-origin") is None

    serving(tmp_path, story)


@pytest.mark.parametrize("target", ["/", "/sync", "/api/query", "/api/1.48.0/nowhere", "/http/sync"])
def test_other_websockets_are_turned_away(tmp_path: Path, target: str) -> None:
    async def story(server: Served) -> None:
        upgrade = (
            b"GET %s HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert (await server.say(upgrade % target.encode(), api=True)).status == 404
        assert (await server.say(upgrade % b"/api/sync")).status == 404, "it is not on the address of HTTP actions"

    serving(tmp_path, story)
