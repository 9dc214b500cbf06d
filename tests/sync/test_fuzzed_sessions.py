"""Random sessions, right and wrong ones: none breaks anything, each is answered or closed as the protocol says.

`make nightly` sends as many messages as `PYCONVEX_FUZZED` says.
"""

import asyncio
import logging
import os
from pathlib import Path
from random import Random

import pytest

from pyconvex.host import Host
from support.fuzzed_sessions import FuzzedSession
from support.loopback import Loopback, loopback, opened
from support.served import run
from support.sync_client import Closed, SyncClient, add

FUZZED = int(os.environ.get("PYCONVEX_FUZZED", "3000"))
SEED = int(os.environ.get("PYCONVEX_SEED", "0"))
MESSAGES_A_STORY = 500
SESSIONS_AT_ONCE = 5

MODULES = {
    "m": """
        from pyconvex.server import action, internal_query, mutation, query
        from pyconvex.values import ConvexError

        @query
        async def rows(ctx, n=None):
            return [row["n"] for row in await ctx.db.query("rows").collect()]

        @query
        async def echo(ctx, n=None, value=None):
            print(n)
            return [n, value]

        @query
        async def fail(ctx, n=None):
            raise ConvexError(n)

        @query
        async def who(ctx, n=None):
            return await ctx.auth.get_user_identity()

        @internal_query
        async def hidden(ctx, n=None):
            return "seen"

        @query
        async def default(ctx, n=None):
            return 1

        @mutation
        async def insert(ctx, n=None):
            await ctx.db.insert("rows", {"n": n})

        @action
        async def act(ctx, n=None):
            await ctx.run_mutation("m:insert", n=n)
    """
}
CODES = {1005: "", 1011: "InternalServerError", 1013: ""}
KINDS = {"Transition", "MutationResponse", "ActionResponse", "FatalError", "AuthError", "Ping"}


async def fuzz(host: Host, dice: Random, messages: int) -> None:
    """Sessions one after another, until so many messages were sent."""
    while messages > 0:
        count = min(messages, dice.choice((1, 5, 20, 60)))
        messages -= count
        async with loopback(host) as client:
            assert isinstance(client.socket, Loopback)
            try:
                await one_session(client, FuzzedSession(dice, host.admin_key), count)
            except Closed as closed:
                assert closed.code in CODES
                assert str(closed.reason or "").startswith(CODES[closed.code or 0])


async def one_session(client: SyncClient, session: FuzzedSession, count: int) -> None:
    dice = session.dice
    careful = dice.random() < 0.5
    client.socket.say(session.connect())
    for _ in range(count):
        right = careful or dice.random() < 0.9
        client.socket.say(session.message() if right else session.mistake())
        if dice.random() < 0.3:
            await asyncio.sleep(0)
        if dice.random() < 0.02:
            return  # it leaves without a word
    await answered(client, session)


async def answered(client: SyncClient, session: FuzzedSession) -> None:
    """It is not stuck: what it says now is still answered."""
    client.socket.say(session.modify())
    if session.requests:
        session.requests += 1
        client.mutate("m:insert", session.requests, n=0)
        while (await heard(client)).get("requestId") != session.requests:
            pass
    while client.version["querySet"] != session.query_set:
        await heard(client)
    assert client.results.keys() == set(session.queries)


async def heard(client: SyncClient) -> dict[str, object]:
    message = await client.told()
    assert message["type"] in KINDS
    return message


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(SEED, SEED + FUZZED // MESSAGES_A_STORY))
def test_sessions(tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    caplog.set_level(logging.WARNING)

    async def story() -> None:
        async with opened(tmp_path, MODULES) as host:
            share = MESSAGES_A_STORY // SESSIONS_AT_ONCE
            await asyncio.gather(*(fuzz(host, Random(f"{seed} {n}"), share) for n in range(SESSIONS_AT_ONCE)))
            assert host.sync.sessions == 0
            async with loopback(host) as client:
                client.connect()
                client.modify(0, add(0, "m:rows"))
                await client.told()
                before = len(client.results[0])
                assert (await client.ended(client.mutate("m:insert", n=1)))["success"]
                assert len(client.results[0]) == before + 1

    run(story)
    assert [record for record in caplog.records if record.name.startswith("pyconvex")] == []
    assert [record for record in caplog.records if record.name == "asyncio"] == []
