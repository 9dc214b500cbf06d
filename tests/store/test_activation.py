"""Putting a schema into force on documents that are there already and go on changing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import SystemClock
from pyconvex.schema import EMPTY_SCHEMA, Schema, define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store import activation
from pyconvex.store.catalog import IndexState
from pyconvex.store.keys import KeyRange
from pyconvex.store.sqlite import SqlitePersistence
from pyconvex.store.store import SchemaChange, SchemaViolation, Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value, v
from pyconvex.values.ids import decode_id

OpenStore = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks with few documents."""
    monkeypatch.setattr(activation, "CHUNK_DOCUMENTS", 7)
    monkeypatch.setattr(activation, "_CLEARED_ENTRIES", 7)


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
    monkeypatch.setattr(activation, "CHUNK_DOCUMENTS", 1)

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
        for _ in range(3):
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


def test_what_an_interrupted_activation_left_is_swept_by_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        store = Store(SqlitePersistence(tmp_path / "x.db"), Limits(), SystemClock())
        await store.open()
        await store.activate(notes())
        await fill(store, 60)
        activating = asyncio.create_task(store.activate(notes(by_n=["n"])))
        while not any(index.name == "by_n" for table in store.catalog.tables for index in table.extra):
            await asyncio.sleep(0)
        activating.cancel()
        await asyncio.gather(activating, return_exceptions=True)
        await store.close()

        store = Store(SqlitePersistence(tmp_path / "x.db"), Limits(), SystemClock())
        await store.open()
        async with store.snapshot() as transaction:
            index = transaction.index("notes", "by_n")
            assert index is None or not index.readable
        await store.activate(notes(by_n=["n"]))
        assert await read(store, "by_n") == list(range(60))
        await swept(store)
        table = store.catalog.table("notes")
        assert table is not None and len(table.extra) == 1
        await store.close()

    asyncio.run(main())


def test_a_known_schema_is_active_again_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        for expected in (SchemaChange(tables_created=("notes",), indexes_created=("notes.by_n",)), SchemaChange()):
            store = Store(SqlitePersistence(tmp_path / "x.db"), Limits(), SystemClock())
            await store.open()
            before = await last_ts(store)
            assert await store.activate(notes(by_n=["n"])) == expected
            if expected == SchemaChange():
                assert await last_ts(store) == before
            with pytest.raises(Exception, match="does not match the schema"):
                await store.mutate(lambda t: t.insert("notes", {}))
            await store.close()

    asyncio.run(main())


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
