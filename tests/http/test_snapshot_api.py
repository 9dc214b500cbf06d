"""Queries at one timestamp over HTTP: `/api/query_ts`, `/api/query_at_ts`, `/api/query_batch`."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.values.timestamps import decode_timestamp, encode_timestamp
from support.served import Reply, Served, run, served

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({"notes": define_table({"room": v.number()}).index("by_room", ["room"])})
"""
NOTES = """
from pyconvex.server import action, internal_query, mutation, query
from pyconvex.values import ConvexError, Int64


@query
async def count(ctx, room: int):
    print("counting", room)
    return len(await ctx.db.query("notes").with_index("by_room", lambda q: q.eq("room", room)).collect())


@query
async def fail(ctx):
    await ctx.db.query("notes").first()
    raise ConvexError({"big": Int64(7)})


@query
async def who(ctx):
    identity = await ctx.auth.get_user_identity()
    return None if identity is None else identity["subject"]


@internal_query
async def hidden(ctx):
    return "found"


@mutation
async def write(ctx, room: int):
    await ctx.db.insert("notes", {"room": room})


@action
async def act(ctx):
    return 1
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"schema": SCHEMA, "notes": NOTES}, **options) as server:
            await story(server)

    run(whole)


async def write(server: Served, room: int) -> None:
    reply = await server.call("/api/mutation", {"path": "notes:write", "args": {"room": room}})
    assert reply.json["status"] == "success"


async def now(server: Served, body: bytes = b"") -> str:
    return (await server.call("/api/query_ts", body)).json["ts"]


async def at(server: Served, ts: object, path: str = "notes:count", **more: object) -> Reply:
    return await server.call("/api/query_at_ts", {"path": path, "args": {"room": 1}, "ts": ts, **more})


def test_the_latest_timestamp(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        first = await now(server)
        assert await now(server, b"{ whatever") == first, "nothing was committed"
        await write(server, 1)
        assert decode_timestamp(await now(server)) > decode_timestamp(first)
        plain = await server.send("/api/query_ts", method="POST", api=True)
        assert plain.status == 200, "nothing is sent, so it has no type either"

    serving(tmp_path, story)


@pytest.mark.parametrize("memory", [True, False])
def test_a_query_at_a_timestamp_is_exact_or_refused(tmp_path: Path, memory: bool) -> None:
    async def story(server: Served) -> None:
        await write(server, 1)
        ts = await now(server)
        reply = await at(server, ts)
        assert reply.json == {"status": "success", "value": 1.0, "logLines": ["[LOG] 'counting' 1"]}
        await write(server, 2)
        assert (await at(server, ts)).json["value"] == 1.0, "what it reads is as it was"
        await write(server, 1)
        for _ in range(2):
            reply = await at(server, ts)
            assert (reply.status, reply.json["code"]) == (503, "OutOfRetention")
        assert (await at(server, await now(server))).json["value"] == 2.0

    serving(tmp_path, story, memory=memory)


def test_a_timestamp_of_an_earlier_start_is_not_answered_with_newer_data(tmp_path: Path) -> None:
    timestamps: list[str] = []

    async def before(server: Served) -> None:
        await write(server, 1)
        timestamps.append(await now(server))

    async def after(server: Served) -> None:
        await write(server, 1)
        reply = await at(server, timestamps[0])
        assert (reply.status, reply.json["code"]) == (503, "OutOfRetention")
        assert (await at(server, await now(server))).json["value"] == 2.0

    serving(tmp_path, before, memory=False)
    serving(tmp_path, after, memory=False)


def test_errors_of_the_query_are_answers(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await at(server, await now(server), "notes:fail", args={}, format="convex_encoded_json")
        assert reply.status == 200
        assert reply.json["errorData"] == {"big": {"$integer": "BwAAAAAAAAA="}}
        reply = await at(server, await now(server), "notes:write")
        assert "Trying to execute notes.js:write as Query" in reply.json["errorMessage"]

    serving(tmp_path, story)


@pytest.mark.parametrize(
    ("ts", "code"),
    [
        ("x", "InvalidTimestamp"),
        ("", "InvalidTimestamp"),
        ("AAAA", "InvalidTimestamp"),
        ("//////////8=", "InvalidTimestamp"),
        (encode_timestamp(2**63 - 1), "InvalidTimestamp"),
        (5, "BadJsonBody"),
        (None, "BadJsonBody"),
    ],
)
def test_timestamps_that_are_none(tmp_path: Path, ts: object, code: str) -> None:
    async def story(server: Served) -> None:
        reply = await at(server, ts)
        assert (reply.status, reply.json["code"]) == (400, code)

    serving(tmp_path, story)


def test_several_queries_are_answered_in_order(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        await write(server, 1)
        queries: list[object] = [
            {"path": "notes:count", "args": {"room": 1}, "format": "json"},
            {"path": "notes:fail", "args": [{}], "format": "convex_encoded_json"},
            {"path": "notes:fail", "args": []},
            {"path": "notes:nothing", "args": {}},
            {"path": "notes:act", "args": {}},
            {"path": "notes:hidden", "args": {}},
            {"path": "notes:count", "args": {"room": 2}},
        ]
        reply = await server.call("/api/query_batch", {"queries": queries}, convex_request_id="f00d")
        assert reply.status == 200
        one, failed, clean, missing, wrong, hidden, none = reply.json["results"]
        assert one == {"status": "success", "value": 1.0, "logLines": ["[LOG] 'counting' 1"]}
        assert (failed["errorData"], clean["errorData"]) == ({"big": {"$integer": "BwAAAAAAAAA="}}, {"big": "7"})
        assert missing["errorMessage"].startswith("[Request ID: f00d] Server Error\nCould not find public function")
        assert "as Query, but it is defined as Action" in wrong["errorMessage"]
        assert "Could not find public function for 'notes:hidden'" in hidden["errorMessage"]
        assert none["value"] == 0.0
        admins = await server.call("/api/query_batch", {"queries": [queries[5]]}, **server.admin)
        assert admins.json["results"][0]["value"] == "found"

    serving(tmp_path, story)


def test_a_batch_is_read_at_one_snapshot(tmp_path: Path) -> None:
    """Writes go on all the time; every batch sees as many in its first query as in its last."""

    async def story(server: Served) -> None:
        async def writing() -> None:
            while True:
                await write(server, 1)

        writer = asyncio.ensure_future(writing())
        seen: set[float] = set()
        queries: list[object] = [{"path": "notes:count", "args": {"room": 1}}] * 20
        while len(seen) < 5:
            results = (await server.call("/api/query_batch", {"queries": queries})).json["results"]
            values = {result["value"] for result in results}
            assert len(values) == 1
            seen |= values
        writer.cancel()

    serving(tmp_path, story)


BAD_BATCHES: list[tuple[object, str]] = [
    ({}, "BadJsonBody"),
    ({"queries": {}}, "BadJsonBody"),
    ({"queries": [{"path": "notes:count"}]}, "BadJsonBody"),
    ({"queries": [{"path": "no-path", "args": {}}]}, "BadConvexFunctionIdentifier"),
    ({"queries": [{"path": "a:b", "args": {}, "format": "xml"}]}, "BadFormat"),
    ({"queries": [{"path": "a:b", "args": {}}] * 1001}, "TooManyQueries"),
]


@pytest.mark.parametrize(("body", "code"), BAD_BATCHES)
def test_one_bad_query_refuses_the_batch(tmp_path: Path, body: object, code: str) -> None:
    async def story(server: Served) -> None:
        reply = await server.call("/api/query_batch", body)
        assert (reply.status, reply.json["code"]) == (400, code)
        assert (await server.call("/api/query_batch", {"queries": []})).json == {"results": []}
        reply = await server.call("/api/query_batch", {"queries": []}, authorization="Bearer a.b.c")
        assert reply.status == 401

    serving(tmp_path, story)


def test_redaction(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        queries: list[object] = [{"path": "notes:fail", "args": {}}, {"path": "notes:count", "args": {"room": 1}}]
        results = (await server.call("/api/query_batch", {"queries": queries}, convex_request_id="f00d")).json[
            "results"
        ]
        assert results == [
            {"status": "error", "errorMessage": "[Request ID: f00d] Server Error", "errorData": {"big": "7"}},
            {"status": "success", "value": 0.0},
        ]

    serving(tmp_path, story, redact=True)
