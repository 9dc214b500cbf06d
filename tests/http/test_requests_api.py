"""The journal of a deployment, and sending its requests again, through real sockets."""

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyconvex.server import StripeWebhook
from pyconvex.settings import Limits
from support.served import Reply, Served, run, served, write_modules

SECRET = "whsec_of_a_test"
HTTP = """
    import asyncio
    import os
    from pyconvex.server import Response, StripeWebhook, http_router

    http = http_router()


    @http.route(path="/stripe", method="POST")
    async def stripe(ctx, request):
        body = await StripeWebhook("whsec_of_a_test").verify(request)
        return Response.json({"event": (await request.json())["type"], "bytes": len(body)})


    @http.route(path_prefix="/echo/", method="POST")
    async def echo(ctx, request):
        told = {"x-url": str(request.url), "x-was": request.headers.get("x-a", "")}
        return Response(await request.bytes(), headers=told)


    @http.route(path="/ignores", method="POST")
    async def ignores(ctx, request):
        return Response("ignored")


    @http.route(path="/breaks", method="POST")
    async def breaks(ctx, request):
        raise ValueError("boom")


    @http.route(path="/endless", method="GET")
    async def endless(ctx, request):
        async def parts():
            while True:
                yield b"tick"
                await asyncio.sleep(0.01)
        return Response(parts())


    default = http
"""
ENDPOINTS = [
    ("GET", "/api/pyconvex/requests"),
    ("GET", "/api/pyconvex/request?id=last"),
    ("POST", "/api/pyconvex/replay"),
]


def serving(
    tmp_path: Path,
    story: Callable[[Served], Coroutine[Any, Any, None]],
    *,
    journal: bool = True,
    memory: bool = True,
    limits: Limits | None = None,
    trusted_proxies: tuple[str, ...] = (),
) -> None:
    async def whole() -> None:
        async with served(
            tmp_path,
            {"http": HTTP},
            journal=journal,
            memory=memory,
            limits=limits,
            trusted_proxies=trusted_proxies,
        ) as server:
            await story(server)

    run(whole)


async def listed(server: Served) -> list[dict[str, Any]]:
    reply = await server.send("/api/pyconvex/requests", headers=server.admin, api=True)
    assert reply.status == 200, reply.text
    return reply.json["requests"]


async def shown(server: Served, id: str = "last", *, secrets: bool = False) -> Reply:
    query = f"id={id}&secrets=true" if secrets else f"id={id}"
    return await server.send(f"/api/pyconvex/request?{query}", headers=server.admin, api=True)


async def replay(server: Served, id: str = "last") -> Reply:
    return await server.call("/api/pyconvex/replay", {"id": id}, **server.admin)


async def post(
    server: Served, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, api: bool = False
) -> Reply:
    return await server.send(target, method="POST", headers=headers, body=body, api=api)


def old_event(minutes: float = 60) -> tuple[bytes, dict[str, str]]:
    """A Stripe event and its headers, as they were signed some time ago."""
    body = b'{"type":"invoice.paid"}'
    return body, StripeWebhook(SECRET).sign(body, at=(time.time() - minutes * 60) * 1000)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_only_admins(tmp_path: Path, method: str, path: str) -> None:
    async def story(server: Served) -> None:
        await post(server, "/echo/1")
        for header, status, code in ((None, 403, "BadDeployKey"), ("Convex a|b", 401, "BadAdminKey")):
            headers = {} if header is None else {"authorization": header}
            reply = await server.send(path, method=method, headers=headers, body=b'{"id":"last"}', api=True)
            assert (reply.status, reply.json["code"]) == (status, code)
        assert len(await listed(server)) == 1, "nothing was sent again"

    serving(tmp_path, story)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_a_deployment_without_a_journal_says_so(tmp_path: Path, method: str, path: str) -> None:
    async def story(server: Served) -> None:
        await post(server, "/echo/1")
        reply = await server.send(path, method=method, headers=server.admin, body=b'{"id":"last"}', api=True)
        assert (reply.status, reply.json["code"]) == (400, "NotSupported")
        assert "pyconvex dev" in reply.json["message"]

    serving(tmp_path, story, journal=False)


def test_every_request_to_http_actions_is_kept(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        replies = [
            await post(server, "/echo/1?page=2&token=SECRET", b"one"),
            await post(server, "/http/echo/2", b"two", api=True),
            await post(server, "/echo/3", b"three", api=True),
            await post(server, "/nowhere"),
            await post(server, "/nowhere", api=True),
            await post(server, "/breaks", b"x"),
            await server.send("/endless", method="HEAD"),
        ]
        await server.send("/version", api=True)
        assert [(each["method"], each["path"], each["status"], each["bodyBytes"]) for each in await listed(server)] == [
            ("POST", "/echo/1?page=2&token=…", 200, 3),
            ("POST", "/echo/2", 200, 3),
            ("POST", "/echo/3", 200, 5),
            ("POST", "/nowhere", 404, 0),
            ("POST", "/nowhere", 404, 0),
            ("POST", "/breaks", 500, 1),
            ("HEAD", "/endless", 200, 0),
        ]
        broken = (await listed(server))[5]["id"]
        assert broken in replies[5].json["code"], "the id is the one that the error names"
        assert broken in {entry.request_id for entry in server.completions}

    serving(tmp_path, story)


def test_one_request_whole_without_its_secrets_or_with_them(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        body = b'{"password":"SECRET","name":"Ada"}'
        headers = {"authorization": "Bearer SECRET", "content-type": "application/json"}
        await post(server, "/echo/1?key=SECRET", body, headers)
        hidden, open_ = await shown(server), await shown(server, secrets=True)
        assert "SECRET" not in hidden.text
        assert json.loads(b64decode(hidden.json["body"])) == {"password": "…", "name": "Ada"}
        assert ["authorization", "Bearer …"] in hidden.json["headers"]
        assert b64decode(open_.json["body"]) == body
        assert ["authorization", "Bearer SECRET"] in open_.json["headers"]
        assert open_.json["path"] == "/echo/1?key=SECRET"
        assert (hidden.json["redacted"], open_.json["redacted"]) == (True, False)

    serving(tmp_path, story)


def test_bodies_are_kept_whether_the_handler_reads_them_or_not(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        chunked = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
        for target in ("/echo/1", "/ignores", "/nowhere"):
            await post(server, target, chunked, {"transfer-encoding": "chunked"})
            one = (await shown(server)).json
            assert (b64decode(one["body"]), one["bodyBytes"], one["whole"]) == (b"hello world", 11, True), target
        await post(server, "/echo/1", b"x" * 3000)
        one = (await shown(server)).json
        assert (len(b64decode(one["body"])), one["bodyBytes"], one["whole"]) == (1000, 3000, False)
        reply = await replay(server)
        assert (reply.status, reply.json["code"]) == (400, "RequestNotWhole")
        assert "3000 bytes, and 1000 are kept" in reply.json["message"]

    serving(tmp_path, story, limits=Limits(journal_body_bytes=1000))


def test_a_client_that_leaves_in_the_middle_is_kept_but_not_sent_again(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        _, writer = await server.connect()
        writer.write(b"POST /echo/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf of it")
        await writer.drain()
        writer.close()
        while not await listed(server):
            await asyncio.sleep(0.01)
        one = (await shown(server)).json
        assert (b64decode(one["body"]), one["whole"]) == (b"half of it", False)
        assert (await replay(server)).json["message"].endswith("not all of its body arrived")

    serving(tmp_path, story)


def test_a_request_is_sent_again_as_it_came(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        first = await post(server, "/http/echo/a%2Fb?q=1", b"\0\xff", {"host": "example.com:1", "x-a": "y"}, api=True)
        answer = (await replay(server)).json
        assert b64decode(answer["body"]) == first.body == b"\0\xff"
        assert ["x-url", first.header("x-url")] in answer["headers"]
        assert first.header("x-url") == "http://example.com:1/echo/a%2Fb?q=1"
        assert ["x-was", "y"] in answer["headers"]
        original, again = await listed(server)
        assert (answer["status"], answer["was"], answer["whole"]) == (200, 200, True)
        assert (again["id"], again["replayOf"]) == (answer["id"], original["id"])
        assert original["replayOf"] is None
        assert server.completions[-1].note == f"replay of {original['id']}"
        assert (await replay(server)).json["replayOf"] == original["id"], "the last one that repeats no other"

    serving(tmp_path, story)


def test_a_request_through_a_proxy_is_for_the_same_address_again(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        told = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-host": "my.site"}
        first = await post(server, "/echo/1", b"x", told)
        assert first.header("x-url") == "https://my.site/echo/1"
        asked = "last"
        for _ in range(2):
            again = (await replay(server, asked)).json
            assert ["x-url", "https://my.site/echo/1"] in again["headers"]
            assert again["client"] == "192.0.2.1"
            asked = again["id"]

    serving(tmp_path, story, trusted_proxies=("127.0.0.1",))


def test_a_webhook_that_was_too_old_for_anybody_else_is_as_young_as_it_was(tmp_path: Path) -> None:
    """The recorded time counts for what an admin sends again, and for nobody who sends the same bytes from outside."""

    async def story(server: Served) -> None:
        body, headers = old_event(minutes=0)
        assert (await post(server, "/stripe", body, headers)).status == 200
        journal = server.host.deployment.journal
        assert journal is not None
        (kept,) = journal.find("last")
        hour_ago, aged = kept.at_ms - 3_600_000, old_event(minutes=60)[1]["stripe-signature"]
        kept_headers = [(name, aged if name == "stripe-signature" else value) for name, value in kept.headers]
        came_then = msgspec.structs.replace(kept, id="0ld", at_ms=hour_ago, headers=kept_headers)
        journal._kept.add([came_then])  # pyright: ignore[reportPrivateUsage] - as if it had come an hour ago
        answer = (await replay(server, "0ld")).json
        assert (answer["status"], json.loads(b64decode(answer["body"]))) == (
            200,
            {"event": "invoice.paid", "bytes": 23},
        )

        for extra in ({}, {"pyconvex.replay": "0ld"}, server.admin):
            reply = await post(server, "/stripe", body, {"stripe-signature": aged, **extra})
            assert (reply.status, reply.json["code"]) == (400, "WebhookTooOld")

    serving(tmp_path, story)


def test_a_refused_webhook_is_refused_again(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        body, headers = old_event()
        reply = await post(server, "/stripe", body, headers)
        assert (reply.status, reply.json["code"]) == (400, "WebhookTooOld")
        assert (await replay(server)).json["status"] == 400, "it was too old when it came"
        reply = await post(server, "/stripe", body + b" ", old_event(minutes=0)[1])
        assert (reply.status, reply.json["code"]) == (400, "WebhookSignatureMismatch")
        assert (await replay(server)).json["status"] == 400, "a replay makes no wrong signature right"
        assert "Check that the secret" in (server.completions[-1].hint or "")

    serving(tmp_path, story)


def test_a_request_is_sent_to_the_functions_as_they_are_now(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await post(server, "/breaks", b"x")).status == 500
        write_modules(tmp_path, {"http": HTTP.replace('raise ValueError("boom")', 'return Response("mended")')})
        await server.host.reload()
        answer = (await replay(server)).json
        assert (answer["status"], answer["was"], b64decode(answer["body"])) == (200, 500, b"mended")

    serving(tmp_path, story)


def test_an_answer_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.http.requests_api.REPLAY_SECONDS", 0.1)

    async def story(server: Served) -> None:
        reader, writer = await server.connect()
        writer.write(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"tick")
        (one,) = await listed(server)
        assert (one["tookMs"], one["status"]) == (None, 0), "requests in progress are listed too"
        answer = (await replay(server)).json
        assert (answer["status"], answer["whole"]) == (200, False)
        assert b64decode(answer["body"]).startswith(b"tick")
        again, first = await listed(server)
        assert (again["replayOf"], first["id"]) == (one["id"], one["id"])
        writer.transport.abort()

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "BadJsonBody"),
        (b'{"id": 1}', 400, "BadJsonBody"),
        (b'{"id": ""}', 404, "UnknownRequest"),
        (b'{"id": "zz"}', 404, "UnknownRequest"),
    ],
)
def test_what_cannot_be_sent_again_is_explained(tmp_path: Path, body: bytes, status: int, code: str) -> None:
    async def story(server: Served) -> None:
        await post(server, "/echo/1")
        reply = await server.call("/api/pyconvex/replay", body, **server.admin)
        assert (reply.status, reply.json["code"]) == (status, code)

    serving(tmp_path, story)


def test_an_id_that_names_several_is_refused(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        for _ in range(17):
            await post(server, "/nowhere")
        first = [each["id"][0] for each in await listed(server)]
        several = next(letter for letter in first if first.count(letter) > 1)
        reply = await shown(server, several)
        assert (reply.status, reply.json["code"]) == (400, "AmbiguousRequest")

    serving(tmp_path, story)


def test_they_outlive_a_restart(tmp_path: Path) -> None:
    async def first(server: Served) -> None:
        await post(server, "/echo/1", b"before")

    async def second(server: Served) -> None:
        assert b64decode((await replay(server)).json["body"]) == b"before"

    serving(tmp_path, first, memory=False)
    assert (tmp_path / ".pyconvex" / "requests.sqlite3").stat().st_mode & 0o777 == 0o600
    serving(tmp_path, second, memory=False)
