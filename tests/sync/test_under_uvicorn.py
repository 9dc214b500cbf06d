"""The sync protocol under another server than ours: everything is sent by waiting, and closed with a code."""

import asyncio
from pathlib import Path

import pytest

from pyconvex.clock import ManualClock
from pyconvex.host import bind_sockets
from pyconvex.sync.worker import PING_MS
from support.loopback import opened
from support.served import run
from support.sync_client import add, sync_client
from support.web_sockets import Refused

MODULES = {
    "m": """
        from pyconvex.server import mutation, query

        @query
        async def rows(ctx):
            return [row["n"] for row in await ctx.db.query("rows").collect()]

        @mutation
        async def insert(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})
    """
}


def test_a_session(tmp_path: Path) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    clock = ManualClock()

    async def story() -> None:
        async with opened(tmp_path, MODULES, clock=clock) as host:
            sockets = bind_sockets(port=0, site_port=0)
            host.app.site_port = sockets.site_port
            server = uvicorn.Server(uvicorn.Config(host.app, log_level="critical"))
            running = asyncio.ensure_future(server.serve(sockets=[sockets.api, sockets.site]))
            while not server.started:
                await asyncio.sleep(0.005)
            async with sync_client(sockets.port) as client:
                client.connect()
                client.modify(0, add(0, "m:rows"))
                await client.told()
                for n in range(5):
                    await client.ended(client.mutate("m:insert", n=n))
                assert client.results[0] == [0, 1, 2, 3, 4]
                clock.advance(PING_MS / 1000)
                assert (await client.told())["type"] == "Ping"
                client.socket.say("nonsense")
                assert (await client.told())["type"] == "FatalError"
                closed = await client.closed()
                assert closed is not None
                assert closed.code == 1000
            with pytest.raises(Refused) as refused:
                async with sync_client(sockets.port, "/api/0.1.0/sync"):
                    pass
            assert refused.value.status in (400, 403)
            server.should_exit = True
            await running

    run(story)
