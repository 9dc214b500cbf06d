"""Clients whose connections break at any moment, and who ask again: every mutation is done once, and in order."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from pyconvex.clock import ManualClock
from pyconvex.engine import session_requests
from pyconvex.engine.session_requests import KEPT_MS, request_number
from pyconvex.host import Host
from pyconvex.store.schema.catalog import BY_CREATION_TIME, SESSION_REQUESTS
from pyconvex.values.timestamps import decode_timestamp
from support.loopback import loopback, opened
from support.postgres import fresh_database, server
from support.served import run, write_modules
from support.sync_client import Closed, SyncClient, add

CLIENTS, MUTATIONS = 4, 12
SESSION = "6f2a9c1e-0b7d-4c55-9e0a-3d1f5b8e7a42"

MODULES = {
    "m": """
        from pyconvex.server import mutation, query
        from pyconvex.values import ConvexError

        @query
        async def rows(ctx, client: str):
            rows = await ctx.db.query("rows").collect()
            return [row["n"] for row in rows if row["client"] == client]

        @mutation
        async def insert(ctx, client: str, n: int):
            if n % 5 == 4:
                raise ConvexError(n)
            print("insert", n)
            counter = await ctx.db.query("counters").first()
            if counter is None:
                await ctx.db.insert("counters", {"count": 1})
            else:
                await ctx.db.patch(counter["_id"], {"count": counter["count"] + 1})
            await ctx.db.insert("rows", {"client": client, "n": n})
            return n
    """
}


class Persistent:
    """A client that asks until it has been told that all of its mutations are done, as JavaScript's does."""

    def __init__(self, dice: Random) -> None:
        self.session = str(uuid4())
        self.dice = dice
        self.left: dict[int, int] = dict.fromkeys(range(MUTATIONS), 0)
        """Requests that have not ended, with the timestamp of the commit once it is known."""
        self.answers: dict[int, object] = {}
        self.connections = 0

    async def use(self, hosts: Sequence[Host]) -> None:
        while self.left:
            async with loopback(self.dice.choice(hosts)) as client:
                await self._ask(client)
                for _ in range(self.dice.randrange(40)):
                    await asyncio.sleep(0)  # the connection breaks in the middle of something
            self.connections += 1

    async def _ask(self, client: SyncClient) -> None:
        client.connect(self.session, self.connections)
        client.modify(0)
        for number in self.left:
            client.mutate("m:insert", number, client=self.session, n=number)
        for _ in range(self.dice.randrange(8)):
            if not self.left:
                return
            try:
                message = await client.told()
            except Closed as closed:
                assert closed.reason == "OptimisticConcurrencyControlFailure"
                return  # others were quicker every time: it will ask again
            if message["type"] == "MutationResponse":
                self._note(message["requestId"], message.get("errorData", message["result"]), message["ts"])
            elif message["type"] == "Transition":
                seen = decode_timestamp(message["endVersion"]["ts"])
                self.left = {number: ts for number, ts in self.left.items() if not 0 < ts <= seen}

    def _note(self, number: int, answer: object, ts: str | None) -> None:
        assert self.answers.setdefault(number, answer) == answer, "another answer than the first time"
        if ts is None:
            del self.left[number]
        else:
            self.left[number] = decode_timestamp(ts)


@asynccontextmanager
async def deployment(tmp_path: Path, engine: str) -> AsyncGenerator[list[Host]]:
    """The processes that serve it: two of them on PostgreSQL."""
    async with AsyncExitStack() as stack:
        if engine == "postgres":
            url = server().database_url(stack.enter_context(fresh_database()))
            folders = [tmp_path / "one", tmp_path / "two"]
            yield [await stack.enter_async_context(opened(each, MODULES, database=url)) for each in folders]
        else:
            yield [await stack.enter_async_context(opened(tmp_path, MODULES, memory=engine == "memory"))]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("engine", ["memory", "file", "postgres"])
def test_whatever_is_cut_when(tmp_path: Path, engine: str, seed: int) -> None:
    async def story() -> None:
        async with deployment(tmp_path, engine) as hosts:
            clients = [Persistent(Random(f"{seed} {number}")) for number in range(CLIENTS)]
            await asyncio.gather(*(client.use(hosts) for client in clients))
            async with loopback(hosts[0]) as looker:
                looker.connect()
                looker.modify(0, *(add(n, "m:rows", client=each.session) for n, each in enumerate(clients)))
                await looker.told()
                done = [float(n) for n in range(MUTATIONS) if n % 5 != 4]
                assert looker.results == dict.fromkeys(range(CLIENTS), done)
            for client in clients:
                assert client.answers == {n: n for n in range(MUTATIONS)}
            assert min(client.connections for client in clients) > 1, "nothing was cut"

    run(story)


def test_what_was_done_is_answered_as_it_was_then(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, MODULES) as host:
            responses: list[dict[str, object]] = []
            for connection in range(2):
                async with loopback(host) as client:
                    client.connect(SESSION, connection)
                    client.modify(0)
                    client.mutate("m:insert", 7, client="c", n=1)
                    responses.append(await client.until("MutationResponse"))
                    await client.until("Transition")
                write_modules(tmp_path, {"m": "X = 1"})  # by now there is no such function
                await host.reload()
            first, second = responses
            assert (
                (second["result"], second["logLines"])
                == (first["result"], first["logLines"])
                == (1, ["[LOG] 'insert' 1"])
            )
            assert decode_timestamp(str(second["ts"])) >= decode_timestamp(str(first["ts"]))

    run(story)


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, MODULES) as host:
            for connection, n in enumerate((4, 1)):
                async with loopback(host) as client:
                    client.connect(SESSION, connection)
                    client.mutate("m:insert", 0, client="c", n=n)
                    response = await client.until("MutationResponse")
                    assert response["success"] is (n == 1)

    run(story)


def test_two_connections_of_one_session_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path, MODULES) as host, loopback(host) as one, loopback(host) as other:
            for client in (one, other):
                client.connect(SESSION)
                client.modify(0, add(0, "m:rows", client="c"))
            for client in (one, other):
                client.mutate("m:insert", 0, client="c", n=1)
            for client in (one, other):
                assert (await client.until("MutationResponse"))["result"] == 1
                while client.results.get(0) != [1]:
                    await client.told()

    run(story)


def test_records_are_forgotten_after_two_weeks(tmp_path: Path) -> None:
    clock = ManualClock()

    async def story() -> None:
        async with opened(tmp_path, MODULES, clock=clock) as host, loopback(host) as client:
            client.connect(SESSION)
            for number in range(3):
                await client.ended(client.mutate("m:insert", client="c", n=number))
            assert await count(host) == 3
            clock.advance(KEPT_MS / 1000 - 60)
            await client.ended(client.mutate("m:insert", client="c", n=3))
            await host.scheduler.tend()
            assert await count(host) == 4
            clock.advance(61)
            await host.scheduler.tend()
            assert await count(host) == 1

    run(story)


async def count(host: Host) -> int:
    """How many records there are."""
    async with host.store.snapshot() as transaction:
        index = transaction.index(SESSION_REQUESTS, BY_CREATION_TIME)
        assert index is not None
        return len(await transaction.take(index))


def test_many_are_forgotten_in_several_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_requests, "_FORGOTTEN_AT_ONCE", 2)
    test_records_are_forgotten_after_two_weeks(tmp_path)


def test_requests_have_the_numbers_that_clients_know() -> None:
    assert request_number(SESSION, 0) == "a0c67781e9829e47"
    assert request_number(SESSION, 1) == "039efd570871bdd4"
