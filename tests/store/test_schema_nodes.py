"""Schemas where several processes share a database: what each knows of another's, and pushes that meet."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from pyconvex.schema import Schema, define_schema, define_table
from pyconvex.store.deployments import Deployed, Deployments
from pyconvex.store.postgres import notices as postgres_notices
from pyconvex.store.schema import activation, backfill
from pyconvex.store.schema.rows import SchemaState
from pyconvex.store.store import SchemaChange, SchemaRace, SchemaViolation, Store
from pyconvex.values import v
from pyconvex.values.ids import decode_id
from support.stores import Database

pytestmark = pytest.mark.parametrize("database", ["postgres"], indirect=True)

LOOSE = define_schema({"notes": define_table({"n": v.number(), "text": v.optional(v.string())})})


def indexed(*fields: str) -> Schema:
    """`LOOSE` with an index on each of these fields."""
    table = define_table({"n": v.number(), "text": v.optional(v.string())})
    for field in fields:
        table.index(f"by_{field}", [field])
    return define_schema({"notes": table})


STRICT = define_schema({"notes": define_table({"n": v.number()}).index("by_n", ["n"])})


@asynccontextmanager
async def nodes(database: Database, count: int = 2, notes: int = 0) -> AsyncGenerator[list[Store]]:
    """So many stores on one database with `LOOSE` in force; the first one has put it there."""
    async with AsyncExitStack() as closing:
        stores = [await closing.enter_async_context(database.open()) for _ in range(count)]
        await stores[0].activate(LOOSE)
        for n in range(notes):
            await stores[0].mutate(lambda t, n=n: t.insert("notes", {"n": n}))
        for store in stores:
            async with store.snapshot():
                pass
        yield stores


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(main())


class Stopped:
    """An activation that stops where it begins to fill its indexes, until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        original = backfill.fill

        async def fill(*given: object, **named: object) -> None:
            self.reached.set()
            await self.go.wait()
            await original(*given, **named)  # type: ignore[arg-type]  # handed on as they came

        monkeypatch.setattr(activation, "fill", fill)


async def insert(store: Store, **fields: float | str) -> str:
    return (await store.mutate(lambda t: t.insert("notes", {**fields}))).value


async def numbers(store: Store, index: str) -> list[object]:
    async with store.snapshot() as transaction:
        found = transaction.index("notes", index)
        assert found is not None and found.readable
        return [document["n"] for document in await transaction.take(found)]


def test_a_process_with_older_code_validates_against_the_schema_of_the_database(database: Database) -> None:
    async def test() -> None:
        async with nodes(database) as (one, other):
            await one.activate(STRICT)
            with pytest.raises(Exception, match="does not match the schema: Object contains extra field `text`"):
                await insert(other, n=1, text="no")
            await insert(other, n=2)
            assert await numbers(other, "by_n") == [2]
            assert other.schema.json() == STRICT.json()

    run(test)


def test_a_process_without_any_schema_of_its_own_validates_too(database: Database) -> None:
    async def test() -> None:
        async with nodes(database), database.open() as third:
            with pytest.raises(Exception, match="does not match the schema"):
                await insert(third, n="no number")

    run(test)


def test_what_another_process_writes_keeps_a_new_index_up_to_date(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        stopped = Stopped(monkeypatch)
        async with nodes(database, notes=5) as (one, other):
            activating = asyncio.create_task(one.activate(indexed("n")))
            await stopped.reached.wait()
            added = await insert(other, n=10)
            gone = await insert(other, n=11)
            await other.mutate(lambda t: t.patch(decode_id(added), {"n": -1}))
            await other.mutate(lambda t: t.delete(decode_id(gone)))
            stopped.go.set()
            await activating
            assert await numbers(other, "by_n") == [-1, 0, 1, 2, 3, 4]

    run(test)


def test_a_write_of_another_process_refuses_a_schema_on_its_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        stopped = Stopped(monkeypatch)
        async with nodes(database, notes=3) as (one, other):
            activating = asyncio.create_task(one.activate(STRICT))
            await stopped.reached.wait()
            written = await insert(other, n=10, text="allowed by the active schema")
            async with other.snapshot() as transaction:
                (failed,) = [row for row in transaction.catalog.schemas if row.state is SchemaState.FAILED]
                assert failed.violation is not None and failed.violation.id == written
                assert await transaction.get(decode_id(written)) is not None
            stopped.go.set()
            with pytest.raises(SchemaViolation, match='New document in table "notes" does not match') as refused:
                await activating
            assert [each.id for each in refused.value.violations] == [written]
            async with other.snapshot() as transaction:
                assert [row.state for row in transaction.catalog.schemas] == [SchemaState.ACTIVE]
                assert transaction.index("notes", "by_n") is None
            await insert(other, n=11, text="still allowed")

    run(test)


def test_of_two_pushes_the_later_one_counts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        stopped = Stopped(monkeypatch)
        async with nodes(database, notes=3) as (one, other):
            earlier = asyncio.create_task(one.activate(indexed("n")))
            await stopped.reached.wait()
            stopped.reached.clear()
            later = asyncio.create_task(other.activate(indexed("text")))
            await stopped.reached.wait()
            stopped.go.set()
            with pytest.raises(SchemaRace, match="Another push") as raced:
                await earlier
            assert raced.value.hint is not None and "several `pyconvex dev`" in raced.value.hint
            assert await later == SchemaChange(indexes_created=("notes.by_text",))
            for store in (one, other):
                async with store.snapshot() as transaction:
                    assert transaction.index("notes", "by_n") is None
                assert len(await numbers(store, "by_text")) == 3

    run(test)


def test_processes_that_push_the_same_do_it_once(database: Database) -> None:
    async def test() -> None:
        async with nodes(database, count=4, notes=20) as stores:
            changes = await asyncio.gather(*[store.activate(indexed("n")) for store in stores])
            assert sorted(change.indexes_created for change in changes) == [(), (), (), ("notes.by_n",)]
            for store in stores:
                assert await numbers(store, "by_n") == [*range(20)]

    run(test)


def test_a_process_takes_over_from_one_that_died_on_the_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_notices, "MISSED_SECONDS", 0.0)

    async def test() -> None:
        stopped = Stopped(monkeypatch)
        async with nodes(database, notes=3) as (_, other):
            async with database.open() as dying:
                activating = asyncio.create_task(dying.activate(indexed("n")))
                await stopped.reached.wait()
                activating.cancel()
                await asyncio.gather(activating, return_exceptions=True)
                await dying._activation.close()  # pyright: ignore[reportPrivateUsage]  # it must not tidy up
            async with other.snapshot() as transaction:
                assert transaction.catalog.pending is not None
            stopped.go.set()
            assert await other.activate(indexed("n")) == SchemaChange(indexes_created=("notes.by_n",))
            assert await numbers(other, "by_n") == [0, 1, 2]
            async with other.snapshot() as transaction:
                assert transaction.catalog.pending is None

    run(test)


# --- deployments


async def deploy(store: Store, deployments: Deployments, code: str, schema: Schema = LOOSE) -> None:
    await store.activate(schema, deployments.push(code))
    await deployments.serve(code)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def test_every_process_knows_whether_its_code_is_the_newest(database: Database) -> None:
    async def test() -> None:
        async with nodes(database, count=3) as stores:
            woken: list[str] = []
            known = [Deployments(store, lambda: woken.append("")) for store in stores]
            one, two, three = known
            await deploy(stores[0], one, "first")
            await deploy(stores[1], two, "first")
            assert one.newest == two.newest == Deployed(1, "first")
            assert one.is_newest and two.is_newest and not three.is_newest
            woken.clear()
            await deploy(stores[2], three, "second", indexed("n"))
            assert three.newest == Deployed(2, "second") and three.is_newest
            await until(lambda: not one.is_newest and not two.is_newest)
            assert len(woken) >= 3
            await deploy(stores[0], one, "first")
            assert one.newest == Deployed(3, "first")
            await until(lambda: two.is_newest and not three.is_newest)
            for each in known:
                await each.close()

    run(test)


def test_a_refused_push_takes_no_number(database: Database) -> None:
    async def test() -> None:
        async with nodes(database) as (one, _):
            deployments = Deployments(one, lambda: None)
            await deploy(one, deployments, "first")
            await insert(one, n=1, text="x")
            with pytest.raises(SchemaViolation):
                await deploy(one, deployments, "second", STRICT)
            assert deployments.is_newest
            await deployments.close()

    run(test)


def test_only_some_deployments_are_remembered(database: Database) -> None:
    async def test() -> None:
        async with nodes(database, count=1) as (one,):
            deployments = Deployments(one, lambda: None)
            for number in range(25):
                await deploy(one, deployments, f"code {number}")
            assert deployments.newest == Deployed(25, "code 24")
            async with one.snapshot() as transaction:
                table = transaction.catalog.system("_deployments")
                assert len(await transaction.take(table.by_creation_time)) == 20
            await deployments.close()

    run(test)
