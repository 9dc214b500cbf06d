"""Clients of one deployment that is served by two processes: what one has said holds at the other."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from pyconvex.host import Host
from pyconvex.values.timestamps import decode_timestamp
from support.loopback import loopback, opened
from support.postgres import fresh_database, server
from support.served import run
from support.sync_client import SyncClient, add

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


@asynccontextmanager
async def two_nodes(tmp_path: Path) -> AsyncGenerator[tuple[Host, Host]]:
    with fresh_database() as name:
        url = server().database_url(name)
        async with (
            opened(tmp_path / "one", MODULES, database=url) as one,
            opened(tmp_path / "two", MODULES, database=url) as two,
        ):
            yield one, two


def test_who_comes_from_another_node_sees_what_it_has_seen_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with two_nodes(tmp_path) as nodes:
            seen: str | None = None
            for n in range(10):
                async with loopback(nodes[n % 2]) as client:
                    client.connect(count=n, **({} if seen is None else {"maxObservedTimestamp": seen}))
                    client.modify(0, add(0, "m:rows"))
                    first = await client.until("Transition")
                    assert client.results[0] == [float(each) for each in range(n)]
                    if seen is not None:
                        assert decode_timestamp(first["endVersion"]["ts"]) >= decode_timestamp(seen)
                    await client.ended(client.mutate("m:insert", n=n))
                    seen = client.version["ts"]

    run(story)


def test_what_is_written_at_one_node_is_shown_at_the_other(tmp_path: Path) -> None:
    async def told(client: SyncClient, count: int) -> None:
        while len(client.results[0]) < count:
            await client.told()

    async def story() -> None:
        async with two_nodes(tmp_path) as nodes, loopback(nodes[0]) as here, loopback(nodes[1]) as there:
            for client in (here, there):
                client.connect()
                client.modify(0, add(0, "m:rows"))
                await client.told()
            for n in range(5):
                await here.ended(here.mutate("m:insert", n=n))
                await there.ended(there.mutate("m:insert", n=-n))
            await asyncio.gather(told(here, 10), told(there, 10))
            assert here.results[0] == there.results[0]

    run(story)
