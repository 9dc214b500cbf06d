"""Ctrl-C in `pyconvex dev` while a hundred clients of the sync protocol are connected."""

import asyncio
import contextlib
import time
import uuid
from pathlib import Path

import pytest

from support.dev import dev
from support.web_sockets import Socket, web_socket

CLIENTS = 100
MESSAGES = """\
from ._generated.server import QueryCtx, query


@query
async def bodies(ctx: QueryCtx):
    return [message["body"] for message in await ctx.db.query("messages").collect()]
"""


async def subscribe(client: Socket) -> None:
    client.say({"type": "Connect", "sessionId": str(uuid.uuid4()), "connectionCount": 0, "clientTs": 0})
    added: dict[str, object] = {"type": "Add", "queryId": 0, "udfPath": "messages:bodies", "args": [{}]}
    client.say({"type": "ModifyQuerySet", "baseVersion": 0, "newVersion": 1, "modifications": [added]})
    assert (await client.json())["modifications"][0]["value"] == []


@pytest.mark.parametrize("reads", [True, False])
def test_it_ends_in_a_moment_and_says_so_to_all(tmp_path: Path, reads: bool) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/messages.py").write_text(MESSAGES)

    async def story() -> None:
        with dev(tmp_path) as server:
            async with contextlib.AsyncExitStack() as clients:
                path = "/api/1.48.0/sync"
                opened = [await clients.enter_async_context(web_socket(server.port, path)) for _ in range(CLIENTS)]
                await asyncio.gather(*map(subscribe, opened))
                closing = [asyncio.ensure_future(client.closed()) for client in opened if reads]
                began = time.perf_counter()
                assert await asyncio.to_thread(server.interrupt) == 130
                assert time.perf_counter() - began < 3  # a second where the machine has nothing else to do
                for close in await asyncio.gather(*closing):
                    assert close is not None
                    assert close.code == 1001
            assert "Traceback" not in server.said
            assert "error" not in server.said

    asyncio.run(asyncio.wait_for(story(), 40))
