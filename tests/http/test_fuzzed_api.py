"""Random requests to a served deployment: each is answered as specified, and the deployment is well afterwards.

`make nightly` sends as many as `PYCONVEX_FUZZED` says.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from support.fuzzed_requests import ENDPOINTS, Asked, garbled, request
from support.served import PATIENCE_SECONDS, Reply, Served, read_reply, served

FUZZED = int(os.environ.get("PYCONVEX_FUZZED", "3000"))
SEED = int(os.environ.get("PYCONVEX_SEED", "4"))
CLIENTS = 4

MODULES = {
    "m": """
        from pyconvex.server import action, internal_query, mutation, query
        from pyconvex.values import ConvexError

        @query
        async def echo(ctx, value=None):
            print("echo", value)
            return value

        @query
        async def default(ctx):
            return "default"

        @mutation
        async def send(ctx, value=None):
            return await ctx.db.insert("messages", {"value": value})

        @action
        async def act(ctx, value=None):
            return value

        @query
        async def fail(ctx, value=None):
            raise ConvexError(value)

        @internal_query
        async def hidden(ctx, value=None):
            raise RuntimeError("must not run")

        @query
        async def count(ctx):
            return len(await ctx.db.query("messages").collect())
    """
}
STATUSES = {200, 400, 401, 403, 404, 405, 413, 503}


class Client:
    """One connection after another, each for as long as the server keeps it."""

    def __init__(self, server: Served, seen: Counter[int]) -> None:
        self._server = server
        self._seen = seen
        self.sent = 0
        """Mutations that were told to be done."""

    async def run(self, random: Random, count: int) -> None:
        connection = None
        for _ in range(count):
            asked = request(random)
            reader, writer = connection = connection or await self._server.connect(api=True)
            writer.write(asked.wire())
            reply = await read_reply(reader, asked.method)
            check(asked, reply)
            self._count(asked, reply)
            if reply.header("connection") == "close":
                writer.transport.abort()
                connection = None
        if connection is not None:
            connection[1].transport.abort()

    def _count(self, asked: Asked, reply: Reply) -> None:
        self._seen[reply.status] += 1
        ran = asked.method == "POST" and asked.target in ("/api/mutation", "/api/function")
        if ran and b'"m:send"' in asked.body and reply.status == 200 and reply.json["status"] == "success":
            self.sent += 1


def check(asked: Asked, reply: Reply) -> None:
    """That `reply` is one of those that are specified for it."""
    assert reply.whole, asked
    assert reply.status in STATUSES, (asked, reply)
    path = asked.target.partition("?")[0]
    if (origin := dict(asked.headers).get("origin")) is not None and not path.startswith("/http"):
        assert reply.header("access-control-allow-origin") == origin.decode("latin-1"), (asked, reply)
    if asked.method == "OPTIONS" and path in ENDPOINTS:
        assert (reply.status, reply.body) == (200, b""), (asked, reply)
    elif path.startswith("/api/") and reply.body and reply.status != 200:
        assert set(reply.json) == {"code", "message"}, (asked, reply)
    elif path in ENDPOINTS and reply.status == 200 and reply.body:
        answers = reply.json["results"] if path == "/api/query_batch" else [reply.json]
        if path != "/api/query_ts":
            assert all(map(is_answer, answers)), (asked, reply)


def is_answer(answer: dict[str, object]) -> bool:
    known = {"success": {"value"}, "error": {"errorMessage"}}[str(answer["status"])]
    return known <= set(answer) <= known | {"status", "logLines", "errorData"}


@pytest.mark.faults
def test_random_requests_are_answered_as_specified(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: Counter[int] = Counter()

    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            clients = [Client(server, seen) for _ in range(CLIENTS)]
            each = FUZZED // CLIENTS
            await asyncio.gather(*(one.run(Random(SEED * 100 + n), each) for n, one in enumerate(clients)))
            stored = (await server.call("/api/query", {"path": "m:count", "args": {}})).json["value"]
            assert stored == sum(client.sent for client in clients) > 0
            assert not [entry for entry in server.completions if entry.error and "must not run" in entry.error]

    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS + FUZZED / 50))
    assert seen[200] > FUZZED / 10 < seen[400], "the generator makes good requests and bad ones"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.faults
def test_damaged_requests_end_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    random = Random(SEED)

    async def send(server: Served) -> None:
        text = garbled(random)
        reader, writer = await server.connect(api=True)
        answer = b""
        with contextlib.suppress(ConnectionError):
            writer.write(text)
            writer.write_eof()
            answer = await reader.read()
        writer.transport.abort()
        assert not re.search(rb"^HTTP/1\.1 500 ", answer, re.MULTILINE), (text, answer)

    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            for _ in range(FUZZED // 4 // 10):
                await asyncio.gather(*(send(server) for _ in range(10)))
            reply = await server.call("/api/query", {"path": "m:echo", "args": {"value": 1}})
            assert json.loads(reply.body)["value"] == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS + FUZZED / 50))
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
