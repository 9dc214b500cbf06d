"""Putting a schema into force on documents that are there already and go on changing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyconvex.clock import SystemClock
from pyconvex.schema import EMPTY_SCHEMA, Schema, define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store import documents, upkeep
from pyconvex.store.keys import KeyRange
from pyconvex.store.postgres import notices as postgres_notices
from pyconvex.store.schema import activation, backfill, progress
from pyconvex.store.schema.catalog import IndexState
from pyconvex.store.schema.progress import Progress, Step
from pyconvex.store.schema.rows import SchemaState
from pyconvex.store.store import SchemaChange, SchemaRefused, SchemaViolation, Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value, v
from pyconvex.values.ids import decode_id
from support.stores import LASTING, Database, OpenStore


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks with few documents."""
    monkeypatch.setattr(backfill, "CHUNK_DOCUMENTS", 7)
    monkeypatch.setattr(activation, "CHECKED_DOCUMENTS", 7)
    monkeypatch.setattr(upkeep, "CLEARED_ENTRIES", 7)


def run(open_store: OpenStore, test: Callable[[Store], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with open_store(**settings) as store:
            await test(store)

    asyncio.run(main())


def notes(**indexes: list[str]) -> Schema:
    table = define_table({"n": v.number(), "text": v.string(), "extra": v.optional(v.any())})
    for name, fields in indexes.items():
        table = table.index(name, fields)
    return define_schema({"notes": table})


async def fill(store: Store, count: int = 30) -> list[str]:
    async def work(transaction: Transaction) -> list[str]:
        return [await transaction.insert("notes", {"n": n, "text": f"{-n}"}) for n in range(count)]

    return (await store.mutate(work)).value


async def read(store: Store, index: str, table: str = "notes") -> list[Value]:
    async with store.snapshot() as transaction:
        found = transaction.index(table, index)
        assert found is not None and found.readable
        return [document["n"] for document in await transaction.take(found)]


async def entries(store: Store, number: int) -> int:
    """Entries of an index as the engine has them."""
    async with store._persistence.snapshot() as reader:  # pyright: ignore[reportPrivateUsage]  # below what is public
        return len(await reader.keys(KeyRange(number, b"", None), limit=1000))


async def swept(store: Store) -> None:
    for _ in range(1000):
        indexes = [index for table in store.catalog.tables for index in table.extra]
        if not store.catalog.dropped and all(index.state is not IndexState.BACKFILLING for index in indexes):
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the dropped indexes are still there")


def test_tables_and_indexes_come_into_being_in_order(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        schema = define_schema(
            {
                "users": define_table({"name": v.string()}).index("by_name", ["name"]),
                "teams": define_table({"n": v.number()}),
            }
        )
        change = await store.activate(schema)
        assert change == SchemaChange(tables_created=("users", "teams"), indexes_created=("users.by_name",))
        assert [(table.number, table.name) for table in store.catalog.tables] == [(10001, "users"), (10002, "teams")]
        assert store.schema is schema
        assert await store.activate(schema) == SchemaChange()

    run(open_store, test)


def test_many_tables_at_once(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        names = [f"table{number}" for number in range(45)]
        await store.activate(define_schema({name: define_table({}).index("by_n", ["n"]) for name in names}))
        assert [table.name for table in store.catalog.tables] == names
        assert [table.number for table in store.catalog.tables] == list(range(10001, 10046))

    run(open_store, test)


def test_a_new_index_shows_the_documents_that_were_there(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await fill(store)
        assert await store.activate(notes(by_n=["n"], by_text=["text", "n"])) == SchemaChange(
            indexes_created=("notes.by_n", "notes.by_text")
        )
        assert await read(store, "by_n") == list(range(30))
        assert await read(store, "by_text") == sorted(range(30), key=lambda n: str(-n))

    run(open_store, test)


def test_writes_during_the_building_are_not_missed(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "CHUNK_DOCUMENTS", 1)

    async def test(store: Store) -> None:
        ids = [decode_id(made) for made in await fill(store, 60)]
        wanted = dict(enumerate(range(60)))
        disturbances = 0

        async def disturb() -> None:
            nonlocal disturbances
            for n in range(0, 60, 3):
                await store.mutate(lambda t, n=n: t.patch(ids[n], {"n": 1000 + n}))
                await store.mutate(lambda t, n=n: t.delete(ids[n + 1]))
                await store.mutate(lambda t, n=n: t.insert("notes", {"n": 2000 + n, "text": ""}))
                wanted[n] = 1000 + n
                del wanted[n + 1]
                wanted[2000 + n] = 2000 + n
                disturbances += 1

        disturbing = asyncio.create_task(disturb())
        await store.activate(notes(by_n=["n"]))
        assert disturbances > 5
        await disturbing
        assert await read(store, "by_n") == sorted(wanted.values())
        async with store.snapshot() as transaction:
            index = transaction.index("notes", "by_n")
        assert index is not None
        assert await entries(store, index.number) == len(wanted)

    run(open_store, test)


def test_an_index_that_is_gone_from_the_schema_is_gone_and_its_entries_too(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.activate(notes(by_n=["n"]))
        await fill(store)
        async with store.snapshot() as transaction:
            old = transaction.index("notes", "by_n")
        assert old is not None
        assert await store.activate(notes()) == SchemaChange(indexes_dropped=("notes.by_n",))
        async with store.snapshot() as transaction:
            assert transaction.index("notes", "by_n") is None
        await swept(store)
        assert await entries(store, old.number) == 0
        await fill(store, 3)
        assert await entries(store, old.number) == 0
        await store.activate(notes(by_n=["n"]))
        async with store.snapshot() as transaction:
            new = transaction.index("notes", "by_n")
        assert new is not None and new.number != old.number

    run(open_store, test)


def test_other_fields_under_the_same_name_make_another_index(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.activate(notes(sorted=["n"]))
        await fill(store)
        change = await store.activate(notes(sorted=["text"]))
        assert change == SchemaChange(indexes_created=("notes.sorted",), indexes_dropped=("notes.sorted",))
        assert await read(store, "sorted") == sorted(range(30), key=lambda n: str(-n))

    run(open_store, test)


def test_a_table_that_leaves_the_schema_keeps_its_documents(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.activate(notes(by_n=["n"]))
        await fill(store, 3)
        await store.activate(EMPTY_SCHEMA)
        assert await read(store, "by_creation_time") == [0, 1, 2]
        await store.mutate(lambda t: t.insert("notes", {"n": 3, "anything": True}))
        async with store.snapshot() as transaction:
            assert transaction.index("notes", "by_n") is None

    run(open_store, test)


def test_a_staged_index_is_built_but_not_to_be_read(open_store: OpenStore) -> None:
    def staged(staged: bool) -> Schema:
        table = define_table({"n": v.number(), "text": v.string()})
        return define_schema({"notes": table.index("by_n", ["n"], staged=staged)})

    async def test(store: Store) -> None:
        await fill(store)
        await store.activate(staged(True))
        await swept(store)
        async with store.snapshot() as transaction:
            index = transaction.index("notes", "by_n")
        assert index is not None and index.state is IndexState.STAGED and not index.readable
        await store.activate(staged(False))
        assert await read(store, "by_n") == list(range(30))
        async with store.snapshot() as transaction:
            enabled = transaction.index("notes", "by_n")
        assert enabled is not None and enabled.number == index.number

    run(open_store, test)


def test_documents_that_do_not_match_refuse_the_schema_and_nothing_changes(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        before = notes(by_n=["n"])
        await store.activate(before)
        ids = await fill(store)
        strict = define_schema(
            {
                "notes": define_table({"n": v.number(), "text": v.number()}).index("by_text", ["text"]),
                "rooms": define_table({}),
            }
        )
        with pytest.raises(SchemaViolation) as refused:
            await store.activate(strict)
        violations = refused.value.violations
        assert len(violations) == activation.VIOLATIONS_MAX
        assert {violation.id for violation in violations} <= set(ids)
        assert {(violation.table, violation.path) for violation in violations} == {("notes", ".text")}
        assert violations[0].reason.startswith("Value does not match validator.\nPath: .text")
        assert str(refused.value).startswith(
            f'Document with ID "{violations[0].id}" in table "notes" does not match the schema: Value does not match'
        )
        assert store.schema is before
        assert await read(store, "by_n") == list(range(30))
        await store.mutate(lambda t: t.insert("notes", {"n": 1, "text": "as before"}))
        await swept(store)
        assert [table.name for table in store.catalog.tables] == ["notes"]
        table = store.catalog.table("notes")
        assert table is not None and [index.name for index in table.extra] == ["by_n"]

    run(open_store, test)


def test_without_schema_validation_everything_matches(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await fill(store, 2)
        loose = define_schema({"notes": define_table({"n": v.string()})}, schema_validation=False)
        await store.activate(loose)
        await store.mutate(lambda t: t.insert("notes", {"n": 2, "other": 1}))
        with pytest.raises(SchemaViolation):
            await store.activate(define_schema({"notes": define_table({"n": v.string()})}))
        assert await read(store, "by_creation_time") == [0, 1, 2]

    run(open_store, test)


def test_a_document_written_meanwhile_refuses_the_schema_and_is_kept(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.activate(notes())
        await fill(store, 60)
        strict = define_schema({"notes": define_table({"n": v.number(), "text": v.string()}).index("by_n", ["n"])})
        activating = asyncio.create_task(store.activate(strict))
        while store.catalog.pending is None:
            await asyncio.sleep(0)
        late = await store.mutate(lambda t: t.insert("notes", {"n": 99, "text": "", "extra": 1}))
        with pytest.raises(SchemaViolation, match='New document in table "notes" does not match the schema: Object'):
            await activating
        async with store.snapshot() as transaction:
            assert await transaction.get(decode_id(late.value)) is not None
        await store.mutate(lambda t: t.insert("notes", {"n": 100, "text": "", "extra": 2}))

    run(open_store, test)


def test_from_its_activation_on_a_schema_holds_for_every_write(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.activate(notes())
        strict = define_schema({"notes": define_table({"n": v.literal(1)})})
        refused = 0

        async def keep_writing() -> None:
            nonlocal refused
            for _ in range(200):
                try:
                    await store.mutate(lambda t: t.insert("notes", {"n": 1, "text": ""}))
                except Exception as error:
                    assert "does not match the schema" in str(error)
                    refused += 1

        with pytest.raises(SchemaViolation):
            await asyncio.gather(store.activate(strict), keep_writing())
        assert refused == 0

    run(open_store, test)


def test_ids_are_checked_against_the_tables_they_name(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        schema = define_schema(
            {
                "users": define_table({}),
                "posts": define_table({"user": v.id("users"), "post": v.optional(v.id("posts"))}),
            }
        )
        await store.activate(schema)
        user = (await store.mutate(lambda t: t.insert("users", {}))).value
        post = (await store.mutate(lambda t: t.insert("posts", {"user": user}))).value
        with pytest.raises(Exception, match=r'Found ID ".*" from table `posts`, which does not match the table name'):
            await store.mutate(lambda t: t.insert("posts", {"user": post}))

    run(open_store, test)


def test_a_table_created_by_a_mutation_in_the_last_moment_gets_its_indexes(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await fill(store, 30)
        schema = define_schema(
            {
                "notes": define_table({"n": v.number(), "text": v.string()}).index("by_n", ["n"]),
                "rooms": define_table({"n": v.number()}).index("by_n", ["n"]),
            }
        )
        activating = asyncio.create_task(store.activate(schema))
        for _ in range(3):
            await asyncio.sleep(0)
        await store.mutate(lambda t: t.insert("rooms", {"n": 7}))
        change = await activating
        assert change.indexes_created == ("notes.by_n", "rooms.by_n") or "rooms" in change.tables_created
        assert await read(store, "by_n", "rooms") == [7]

    run(open_store, test)


@pytest.mark.parametrize("database", LASTING, indirect=True)
def test_what_an_interrupted_activation_left_is_swept_by_the_next(database: Database) -> None:
    async def main() -> None:
        async with database.open(notes()) as store:
            await fill(store, 60)
            activating = asyncio.create_task(store.activate(notes(by_n=["n"])))
            while not any(index.name == "by_n" for table in store.catalog.tables for index in table.extra):
                await asyncio.sleep(0)
            activating.cancel()
            await asyncio.gather(activating, return_exceptions=True)

        async with database.open() as store:
            async with store.snapshot() as transaction:
                index = transaction.index("notes", "by_n")
                assert index is None or not index.readable
            await store.activate(notes(by_n=["n"]))
            assert await read(store, "by_n") == list(range(60))
            await swept(store)
            table = store.catalog.table("notes")
            assert table is not None and len(table.extra) == 1

    asyncio.run(main())


@pytest.mark.parametrize("database", LASTING, indirect=True)
def test_a_known_schema_is_active_again_after_a_restart(database: Database) -> None:
    async def main() -> None:
        for expected in (SchemaChange(tables_created=("notes",), indexes_created=("notes.by_n",)), SchemaChange()):
            async with database.open() as store:
                before = await last_ts(store)
                assert await store.activate(notes(by_n=["n"])) == expected
                if expected == SchemaChange():
                    assert await last_ts(store) == before
                with pytest.raises(Exception, match="does not match the schema"):
                    await store.mutate(lambda t: t.insert("notes", {}))

    asyncio.run(main())


class Stopped:
    """What fills indexes stops where it begins, until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any = activation) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

        async def fill(*given: Any, **named: Any) -> None:
            self.reached.set()
            await self.go.wait()
            await backfill.fill(*given, **named)

        monkeypatch.setattr(module, "fill", fill)


@pytest.mark.parametrize("database", LASTING, indirect=True)
@pytest.mark.parametrize("same", [True, False], ids=["the same schema again", "the schema from before"])
def test_what_a_process_left_that_died_on_the_way_is_swept_at_the_next_start(
    database: Database, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    monkeypatch.setattr(postgres_notices, "MISSED_SECONDS", 0.0)

    async def main() -> None:
        with monkeypatch.context() as patched:
            stopped = Stopped(patched)
            store = Store(database.persistence(), Limits(), SystemClock())
            await store.open()
            await store.activate(notes())
            await fill(store)
            activating = asyncio.create_task(store.activate(notes(by_n=["n"])))
            await stopped.reached.wait()
            store._activation._upkeep.start = lambda: None  # pyright: ignore[reportPrivateUsage]  # as kill -9 would
            activating.cancel()
            await asyncio.gather(activating, return_exceptions=True)
            await store.close()

        async with database.open() as store:
            assert store.catalog.pending is not None
            await store.mutate(lambda t: t.insert("notes", {"n": 30, "text": ""}))
            if same:
                await store.activate(notes(by_n=["n"]))
                assert await read(store, "by_n") == list(range(31))
            else:
                await store.activate(notes())
            await swept(store)
            async with store.snapshot() as transaction:
                assert [row.state for row in transaction.catalog.schemas] == [SchemaState.ACTIVE]
                assert len(transaction.catalog.tables[0].extra) == same

    asyncio.run(main())


def staged_notes(*, staged: bool = True) -> Schema:
    table = define_table({"n": v.number(), "text": v.string(), "extra": v.optional(v.any())})
    return define_schema({"notes": table.index("by_n", ["n"], staged=staged)})


def index_state(store: Store) -> IndexState | None:
    index = store.catalog.tables[0].index("by_n")
    return None if index is None else index.state


def test_a_staged_index_does_not_keep_a_push_waiting(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Stopped(monkeypatch, upkeep)

    async def test(store: Store) -> None:
        await fill(store)
        change = await store.activate(staged_notes())
        assert change == SchemaChange(indexes_created=("notes.by_n",))
        await stopped.reached.wait()
        assert index_state(store) is IndexState.BACKFILLING
        await store.mutate(lambda t: t.insert("notes", {"n": -1, "text": ""}))
        stopped.go.set()
        await swept(store)
        assert index_state(store) is IndexState.STAGED
        await store.activate(staged_notes(staged=False))
        assert await read(store, "by_n") == [-1, *range(30)]

    run(open_store, test)


def test_a_staged_index_that_is_wanted_before_it_is_complete(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Stopped(monkeypatch, upkeep)

    async def test(store: Store) -> None:
        await fill(store)
        await store.activate(staged_notes())
        await stopped.reached.wait()
        before = store.catalog.tables[0].extra[0].number
        await store.activate(staged_notes(staged=False))
        assert await read(store, "by_n") == list(range(30))
        assert [index.number for index in store.catalog.tables[0].extra] == [before]

    run(open_store, test)


def test_a_staged_index_that_is_given_up(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Stopped(monkeypatch, upkeep)

    async def test(store: Store) -> None:
        await fill(store)
        await store.activate(staged_notes())
        await stopped.reached.wait()
        number = store.catalog.tables[0].extra[0].number
        assert await store.activate(notes()) == SchemaChange(indexes_dropped=("notes.by_n",))
        await swept(store)
        assert store.catalog.tables[0].extra == () and await entries(store, number) == 0

    run(open_store, test)


@pytest.mark.parametrize("database", LASTING, indirect=True)
def test_a_staged_index_is_filled_after_a_restart(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_notices, "MISSED_SECONDS", 0.0)

    async def main() -> None:
        with monkeypatch.context() as patched:
            stopped = Stopped(patched, upkeep)
            async with database.open(notes()) as store:
                await fill(store)
                await store.activate(staged_notes())
                await stopped.reached.wait()
        async with database.open(staged_notes()) as store:
            await swept(store)
            assert index_state(store) is IndexState.STAGED
            await store.activate(staged_notes(staged=False))
            assert await read(store, "by_n") == list(range(30))

    asyncio.run(main())


def test_a_staged_index_stays_when_another_push_is_refused(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Stopped(monkeypatch, upkeep)

    async def test(store: Store) -> None:
        await fill(store)
        await store.activate(staged_notes())
        await stopped.reached.wait()
        with pytest.raises(SchemaViolation):
            await store.activate(define_schema({"notes": define_table({"n": v.string()})}))
        stopped.go.set()
        await swept(store)
        assert index_state(store) is IndexState.STAGED

    run(open_store, test)


def test_long_work_is_reported(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(progress, "_REPORT_SECONDS", 0.0)

    async def test(store: Store) -> None:
        reports: list[Progress] = []
        store.report = reports.append
        await fill(store)
        await store.activate(notes(by_n=["n"], by_text=["text"]))
        checks = [each for each in reports if each.step is Step.CHECK]
        builds = [each for each in reports if each.step is Step.BUILD]
        assert {each.names for each in checks} == {("notes",)}
        assert {each.names for each in builds} == {("notes.by_n", "notes.by_text")}
        assert [each.done for each in builds] == [7, 14, 21, 28, 30, 30]
        assert {each.total for each in reports} == {30}
        assert [each.ended for each in builds] == [False] * 5 + [True]
        reports.clear()
        with pytest.raises(SchemaViolation):
            await store.activate(define_schema({"notes": define_table({"n": v.string()})}))
        assert reports[-1].ended and reports[-1].step is Step.CHECK

    run(open_store, test)


def test_quick_work_is_not_reported(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        reports: list[Progress] = []
        store.report = reports.append
        await fill(store)
        await store.activate(notes(by_n=["n"]))
        assert reports == []

    run(open_store, test)


def test_documents_that_match_already_are_not_looked_at_again(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    original = activation.violation_of

    def violation_of(table: str, *rest: Any) -> Any:
        checked.append(table)
        return original(table, *rest)

    monkeypatch.setattr(activation, "violation_of", violation_of)

    async def test(store: Store) -> None:
        await store.activate(notes())
        await fill(store, 3)
        wider = define_table(
            {"n": v.any(), "text": v.string(), "extra": v.optional(v.any()), "new": v.optional(v.id("notes"))}
        )
        await store.activate(define_schema({"notes": wider}))
        assert checked == []
        await store.activate(notes())
        assert checked == ["notes"] * 3

    run(open_store, test)


def test_there_are_only_so_many_tables(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "TABLES_MAX", 2)
    monkeypatch.setattr(documents, "TABLES_MAX", 2)

    async def test(store: Store) -> None:
        await store.mutate(lambda t: t.insert("one", {}))
        with pytest.raises(SchemaRefused, match="cannot have more than 2 tables, and this one has 1 already"):
            await store.activate(define_schema({"two": define_table({}), "three": define_table({})}))
        await store.activate(define_schema({"one": define_table({}), "two": define_table({})}))
        with pytest.raises(documents.DocumentRefused, match="A deployment cannot have more than 2 tables"):
            await store.mutate(lambda t: t.insert("three", {}))
        await store.mutate(lambda t: t.insert("two", {}))

    run(open_store, test)


async def last_ts(store: Store) -> int:
    async with store.snapshot() as transaction:
        return transaction.ts


def test_activating_leaves_the_loop_its_turns(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await fill(store, 200)
        turns = 0

        async def heart() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beating = asyncio.create_task(heart())
        await store.activate(notes(by_n=["n"]))
        beating.cancel()
        assert turns > 200 / 7

    run(open_store, test)
