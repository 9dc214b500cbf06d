"""One transaction: documents, the errors of wrong ones, scans over own writes, sub-transactions, limits, read sets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyconvex.errors import DeveloperError
from pyconvex.schema import Schema, define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store.keys import IndexKey
from pyconvex.store.schema.catalog import Index
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.store.usage import NearLimit
from pyconvex.values import Int64, Value, undefined, v
from pyconvex.values.ids import DocumentId, decode_id, encode_id
from pyconvex.values.keys import behind, encode_key
from support.stores import OpenStore

Work = Callable[[Transaction], Awaitable[Any]]
Document = dict[str, Value]


def notes_schema() -> Schema:
    notes = define_table({"author": v.string(), "body": v.optional(v.string()), "tags": v.optional(v.any())})
    return define_schema({"notes": notes.index("by_author", ["author"])})


def run(open_store: OpenStore, test: Callable[[Store], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with open_store(notes_schema(), **settings) as store:
            await test(store)

    asyncio.run(main())


def index(transaction: Transaction, name: str = "by_author", table: str = "notes") -> Index:
    found = transaction.index(table, name)
    assert found is not None
    return found


def span(author: str) -> tuple[bytes, bytes | None]:
    key = encode_key((author,))
    return key, behind(key)


async def bodies(transaction: Transaction, **options: Any) -> list[Value]:
    return [note.get("body") for note in await transaction.take(index(transaction), **options)]


def test_a_document_comes_back_as_it_was_written(open_store: OpenStore) -> None:
    fields: Document = {
        "author": "é\0𝄞",
        "tags": [1, 1.0, Int64(1), True, None, b"\0\xff", {"deep": [{}], "": -0.0}, float("inf")],
    }

    async def test(store: Store) -> None:
        note = (await store.mutate(lambda transaction: transaction.insert("notes", fields))).value
        async with store.snapshot() as transaction:
            stored = await transaction.get(decode_id(note))
        assert stored is not None
        assert stored.pop("_id") == note
        assert isinstance(stored.pop("_creationTime"), float)
        assert repr(stored) == repr(fields)

    run(open_store, test)


def test_tables_are_numbered_in_the_order_of_their_creation(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> list[int]:
            ids = [await transaction.insert(name, {}) for name in ("first", "second", "first")]
            return [decode_id(made).table for made in ids]

        assert decode_id((await store.mutate(lambda t: t.insert("notes", {"author": "a"}))).value).table == 10001
        assert (await store.mutate(work)).value == [10002, 10003, 10002]
        assert [table.name for table in store.catalog.tables] == ["notes", "first", "second"]

    run(open_store, test)


def test_creation_times_increase_within_a_mutation_and_from_one_to_the_next(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def three(transaction: Transaction) -> None:
            for body in "abc":
                await transaction.insert("notes", {"author": "x", "body": body})

        await store.mutate(three)
        await store.mutate(three)
        async with store.snapshot() as transaction:
            notes = await transaction.take(index(transaction, "by_creation_time"))
        times = [float(str(note["_creationTime"])) for note in notes]
        assert times == sorted(set(times))
        assert [note["body"] for note in notes] == ["a", "b", "c", "a", "b", "c"]

    run(open_store, test)


def test_patch_sets_removes_and_keeps(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        note = (await store.mutate(lambda t: t.insert("notes", {"author": "a", "body": "b", "tags": {"x": 1}}))).value
        await store.mutate(lambda t: t.patch(decode_id(note), {"body": undefined, "tags": {"y": 2}}))
        async with store.snapshot() as transaction:
            stored = await transaction.get(decode_id(note))
        assert stored is not None
        assert {name: value for name, value in stored.items() if name[0] != "_"} == {"author": "a", "tags": {"y": 2}}

    run(open_store, test)


def test_replace_keeps_id_and_creation_time_only(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> tuple[Document | None, Document | None]:
            note = decode_id(await transaction.insert("notes", {"author": "a", "body": "b"}))
            before = await transaction.get(note)
            await transaction.replace(note, {"author": "z"})
            return before, await transaction.get(note)

        before, after = (await store.mutate(work)).value
        assert before is not None
        assert after == {"_id": before["_id"], "_creationTime": before["_creationTime"], "author": "z"}

    run(open_store, test)


def test_a_deleted_document_is_gone_at_once(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        note = (await store.mutate(lambda t: t.insert("notes", {"author": "a"}))).value

        async def work(transaction: Transaction) -> tuple[Document | None, list[Value]]:
            await transaction.delete(decode_id(note))
            return await transaction.get(decode_id(note)), await bodies(transaction)

        assert (await store.mutate(work)).value == (None, [])

    run(open_store, test)


MISSING = DocumentId(10001, bytes(16))
GONE = encode_id(MISSING)
NO_TABLE_NAME = "Invalid table name '{}': letters, digits and underscores, at most 64, and a letter in front"


WRONG_WRITES: list[tuple[Callable[[Transaction, DocumentId], Awaitable[object]], str]] = [
    (lambda t, note: t.patch(MISSING, {"author": "a"}), f"Update on nonexistent document ID {GONE}"),
    (lambda t, note: t.replace(MISSING, {"author": "a"}), f"Replace on nonexistent document ID {GONE}"),
    (lambda t, note: t.delete(MISSING), f"Delete on nonexistent document ID {GONE}"),
    (lambda t, note: t.delete(DocumentId(77, bytes(16))), "Delete on nonexistent document ID "),
    (
        lambda t, note: t.insert("notes", {"author": "a", "_id": GONE}),
        f"Provided document ID '{GONE}': an insert makes the `_id` itself",
    ),
    (
        lambda t, note: t.insert("notes", {"author": "a", "_creationTime": 1.5}),
        "Provided creation time 1.5: an insert sets `_creationTime` itself",
    ),
    (lambda t, note: t.patch(note, {"_id": GONE}), f"' doesn't match '_id' field '{GONE}'"),
    (lambda t, note: t.patch(note, {"_id": GONE}), "Provided document ID 'j"),
    (lambda t, note: t.replace(note, {"_creationTime": 1.0, "author": "a"}), "Provided creation time 1"),
    (
        lambda t, note: t.replace(note, {"_creationTime": 1.0, "author": "a"}),
        " doesn't match '_creationTime' field 1.0",
    ),
    (
        lambda t, note: t.insert("free", {"_x": 1}),
        "Field '_x' starts with an underscore, which is only allowed for system fields like '_id'",
    ),
    (lambda t, note: t.patch(note, {"a b": 1}), "'a b' is not an identifier"),
    (lambda t, note: t.insert("_nothing", {}), "System tables (prefixed with `_`) are read-only."),
    (lambda t, note: t.insert("9lives", {}), NO_TABLE_NAME.format("9lives")),
    (lambda t, note: t.insert("a" * 65, {}), NO_TABLE_NAME.format("a" * 65)),
    (lambda t, note: t.insert("über", {}), NO_TABLE_NAME.format("über")),
    (
        lambda t, note: t.insert("free", {f"f{number}": 1 for number in range(1023)}),
        "Document has too many fields (1025 > maximum 1024)",
    ),
    (
        lambda t, note: t.insert("free", {"text": "x" * 2**20}),
        "Value is too large (1.00 MiB > maximum size 1 MiB)",
    ),
    (lambda t, note: t.insert("free", {"deep": nested(16)}), "Document is too nested (17 levels > maximum nesting 16)"),
    (
        lambda t, note: t.insert("notes", {"author": 5}),
        'in table "notes" because it does not match the schema: Value does not match validator.\nPath: .author',
    ),
    (
        lambda t, note: t.patch(note, {"author": undefined}),
        "does not match the schema: Object is missing the required field `author`.",
    ),
    (lambda t, note: t.replace(note, {"author": "a", "more": 1}), "Object contains extra field `more`"),
]


@pytest.mark.parametrize(("work", "text"), WRONG_WRITES)
def test_a_wrong_write_says_what_is_wrong_and_writes_nothing(
    open_store: OpenStore, work: Callable[[Transaction, DocumentId], Awaitable[object]], text: str
) -> None:
    async def test(store: Store) -> None:
        note = decode_id((await store.mutate(lambda t: t.insert("notes", {"author": "a"}))).value)
        async with store.snapshot() as transaction:
            before = await transaction.get(note)
        caught: list[str] = []

        async def attempt(transaction: Transaction) -> None:
            try:
                await work(transaction, note)
            except DeveloperError as error:
                caught.append(str(error))

        await store.mutate(attempt)
        assert caught and text in caught[0]
        async with store.snapshot() as transaction:
            assert await transaction.take(index(transaction)) == [before]

    run(open_store, test)


def nested(levels: int) -> Value:
    value: Value = 1
    for _ in range(levels):
        value = [value]
    return value


def test_the_deepest_and_the_largest_document_are_taken_and_warned_about(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> list[NearLimit]:
            deep = await transaction.insert("free", {"deep": nested(15)})
            # Two bytes of the object, name and separator, two of the string, 38 and 23 of the system fields.
            size = 2**20 - 2 - 5 - 2 - 37 - 23 - 1
            large = await transaction.insert("free", {"text": "x" * size})
            assert transaction.warnings == [
                ("ValueTooNested", f"Deeply nested document written with ID {deep}"),
                ("ValueTooLarge", f"Large document written with ID {large}"),
            ]
            return transaction.warnings

        await store.mutate(work)

    run(open_store, test)


def test_system_fields_may_be_given_when_they_are_the_documents_own(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> Document | None:
            note = decode_id(await transaction.insert("notes", {"author": "a"}))
            stored = await transaction.get(note)
            assert stored is not None
            await transaction.replace(note, {**stored, "body": "b"})
            await transaction.patch(note, {**stored, "author": "z"})
            return await transaction.get(note)

        stored = (await store.mutate(work)).value
        assert stored is not None
        assert (stored["author"], stored["body"]) == ("z", "b")

    run(open_store, test)


def test_documents_handed_out_are_the_callers_own(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> Document | None:
            tags: list[Value] = [1]
            note = decode_id(await transaction.insert("notes", {"author": "a", "tags": tags}))
            tags.append(2)
            mine = await transaction.get(note)
            assert mine is not None
            mine["author"] = "changed"
            return await transaction.get(note)

        stored = (await store.mutate(work)).value
        assert stored is not None
        assert (stored["author"], stored["tags"]) == ("a", [1])

    run(open_store, test)


async def three_notes(transaction: Transaction) -> list[str]:
    return [await transaction.insert("notes", {"author": author, "body": author * 2}) for author in "bdf"]


def test_scans_show_own_writes_in_both_directions(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        ids = (await store.mutate(three_notes)).value

        async def work(transaction: Transaction) -> None:
            await transaction.insert("notes", {"author": "a", "body": "new"})
            await transaction.patch(decode_id(ids[0]), {"author": "e"})
            await transaction.delete(decode_id(ids[1]))
            assert await bodies(transaction) == ["new", "bb", "ff"]
            assert await bodies(transaction, reverse=True) == ["ff", "bb", "new"]
            assert await bodies(transaction, limit=2) == ["new", "bb"]
            assert await bodies(transaction, reverse=True, limit=1) == ["ff"]
            assert await bodies(transaction, start=encode_key(("b",)), stop=encode_key(("f",))) == ["bb"]
            scan = transaction.scan(index(transaction), reverse=True)
            assert [note["author"] async for note in scan] == ["f", "e", "a"]

        await store.mutate(work)
        async with store.snapshot() as transaction:
            assert await bodies(transaction) == ["new", "bb", "ff"]

    run(open_store, test)


def test_a_document_written_again_and_again_between_scans(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> None:
            note = decode_id(await transaction.insert("notes", {"author": "a", "body": "1"}))
            assert await bodies(transaction) == ["1"]
            await transaction.patch(note, {"body": "2"})
            assert await bodies(transaction) == ["2"]
            await transaction.patch(note, {"author": "b"})
            assert await bodies(transaction) == ["2"]
            await transaction.delete(note)
            assert await bodies(transaction) == []

        await store.mutate(work)

    run(open_store, test)


def test_long_scans_give_pauses_and_miss_nothing(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def fill(transaction: Transaction) -> None:
            for number in range(700):
                await transaction.insert("notes", {"author": f"{number:03}"})

        await store.mutate(fill)
        pauses = 0

        def pause() -> Awaitable[None]:
            nonlocal pauses
            pauses += 1
            return asyncio.sleep(0)

        async with store.snapshot() as transaction:
            transaction.pause = pause
            taken = [note["author"] for note in await transaction.take(index(transaction), reverse=True)]
            scanned = [note["author"] async for note in transaction.scan(index(transaction), limit=690)]
        assert taken == [f"{number:03}" for number in reversed(range(700))]
        assert scanned == [f"{number:03}" for number in range(690)]
        assert pauses >= 4

    run(open_store, test)


def test_a_failed_layer_leaves_its_parent_as_it_was(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        ids = [decode_id(made) for made in (await store.mutate(three_notes)).value]

        async def work(transaction: Transaction) -> None:
            await transaction.patch(ids[0], {"body": "kept"})
            written = transaction.usage.documents_written
            with pytest.raises(ZeroDivisionError), transaction.layer():
                await transaction.patch(ids[0], {"body": "lost", "author": "z"})
                await transaction.delete(ids[1])
                await transaction.insert("notes", {"author": "x"})
                await transaction.insert("rooms", {})
                with transaction.layer():
                    await transaction.delete(ids[2])
                raise ZeroDivisionError
            assert transaction.usage.documents_written == written
            assert transaction.table_number("rooms") is None
            assert await bodies(transaction) == ["kept", "dd", "ff"]
            with transaction.layer():
                await transaction.insert("notes", {"author": "c", "body": "inner"})

        await store.mutate(work)
        async with store.snapshot() as transaction:
            assert await bodies(transaction) == ["kept", "inner", "dd", "ff"]
        assert [table.name for table in store.catalog.tables] == ["notes"]

    run(open_store, test)


def test_reads_of_a_failed_layer_stay_in_the_read_set(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> None:
            with pytest.raises(ZeroDivisionError), transaction.layer():
                await transaction.get(MISSING)
                raise ZeroDivisionError
            assert transaction.usage.ranges_read == 1
            key = encode_key((GONE,))
            assert transaction.reads.touched_by([IndexKey(index(transaction, "by_id").number, key)])

        await store.mutate(work)

    run(open_store, test)


LIMITS: list[tuple[Limits, Work, str, str]] = [
    (
        Limits(read_documents=2),
        lambda t: t.take(index(t)),
        "TooManyDocumentsRead",
        "Too many documents read in a single function execution (limit: 2). ",
    ),
    (
        Limits(read_bytes=200),
        lambda t: t.take(index(t)),
        "TooManyBytesRead",
        "Too many bytes read in a single function execution (limit: 200 bytes). ",
    ),
    (
        Limits(read_ranges=2),
        lambda t: repeated(lambda: t.get(MISSING)),
        "TooManyReads",
        "Too many reads in a single function execution (limit: 2). ",
    ),
    (
        Limits(write_documents=3),
        lambda t: repeated(lambda: t.insert("notes", {"author": "a"})),
        "TooManyWrites",
        "Too many writes in a single function execution (limit: 3)",
    ),
    (
        Limits(write_bytes=2**20),
        lambda t: repeated(lambda: t.insert("notes", {"author": "a" * 2**19})),
        "TooManyBytesWritten",
        "Too many bytes written in a single function execution (limit: 1 MiB)",
    ),
]


@pytest.mark.parametrize(("limits", "work", "code", "text"), LIMITS)
def test_limits(open_store: OpenStore, limits: Limits, work: Work, code: str, text: str) -> None:
    async def test(store: Store) -> None:
        await store.mutate(three_notes)
        with pytest.raises(DeveloperError) as caught:
            await store.mutate(work)
        assert caught.value.code == code
        assert str(caught.value).startswith(text)
        assert text[-1] == " " or str(caught.value) == text
        async with store.snapshot() as transaction:
            assert len(await transaction.take(index(transaction), limit=2)) == 2 or code == "TooManyBytesRead"

    run(open_store, test, limits=limits)


async def repeated(call: Callable[[], Awaitable[object]]) -> None:
    for _ in range(5):
        await call()


def test_a_caught_limit_stays_counted(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.mutate(three_notes)
        async with store.snapshot() as transaction:
            for _ in range(2):
                with pytest.raises(DeveloperError, match="Too many documents read"):
                    await transaction.take(index(transaction))
            assert transaction.usage.documents_read > 2

    run(open_store, test, limits=Limits(read_documents=2))


def test_usage_near_a_limit_is_warned_about(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        await store.mutate(three_notes)
        async with store.snapshot() as transaction:
            await transaction.take(index(transaction))
            assert [near.text.split(".")[0] for near in transaction.usage.warnings()] == [
                "Many documents read in a single function execution (actual: 3, limit: 3)"
            ]

    run(open_store, test, limits=Limits(read_documents=3))


def test_sizes_are_counted_in_the_units_of_convex(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.insert("notes", {"author": "a"})
            # {author: "a"}: 2 + (6 + 1 + 3); `_id` of 32 letters: 3 + 1 + 34; `_creationTime`: 13 + 1 + 9.
            assert transaction.usage.bytes_written == 12 + 38 + 23
            await bodies(transaction)
            assert transaction.usage.bytes_read == 12 + 38 + 23

        await store.mutate(work)

    run(open_store, test)


READS: list[tuple[Work, str]] = [
    (lambda t: t.take(index(t)), "abcdefg"),
    (lambda t: t.take(index(t), limit=2), "abcd"),
    (lambda t: t.take(index(t), limit=2, reverse=True), "defg"),
    (lambda t: t.take(index(t), limit=9), "abcdefg"),
    (lambda t: t.take(index(t), limit=0), ""),
    (lambda t: t.take(index(t), start=encode_key(("c",)), stop=encode_key(("e",))), "cd"),
    (lambda t: t.take(index(t), start=encode_key(("c",)), stop=encode_key(("d",))), "c"),
    (lambda t: first_of(t.scan(index(t))), "ab"),
    (lambda t: first_of(t.scan(index(t), reverse=True)), "fg"),
    (lambda t: first_of(t.scan(index(t), start=encode_key(("g",)))), "g"),
]


@pytest.mark.parametrize(("read", "depends_on"), READS)
def test_a_transaction_depends_on_what_it_scanned(open_store: OpenStore, read: Work, depends_on: str) -> None:
    """With documents under b, d and f: would a document under a … g have changed what was read?"""

    async def test(store: Store) -> None:
        ids = (await store.mutate(three_notes)).value
        async with store.snapshot() as transaction:
            number = index(transaction).number
            stored = {str(note["author"]): note for note in await transaction.take(index(transaction))}
        assert len(ids) == 3
        async with store.snapshot() as transaction:
            await read(transaction)
            touched = ""
            for author in "abcdefg":
                key = encode_key((author,))
                if author in stored:
                    key += encode_key((stored[author]["_creationTime"], stored[author]["_id"]))
                touched += author if transaction.reads.touched_by([IndexKey(number, key)]) else ""
        assert touched == depends_on

    run(open_store, test)


async def first_of(scan: Any) -> None:
    async for _ in scan:
        break


def test_asking_for_a_table_that_is_not_there_depends_on_its_creation(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        commits: list[frozenset[IndexKey]] = []
        store.on_commit(lambda commit: commits.append(commit.written))
        async with store.snapshot() as transaction:
            assert transaction.index("rooms", "by_creation_time") is None
            await store.mutate(lambda t: t.insert("notes", {"author": "a"}))
            await store.mutate(lambda t: t.insert("rooms", {}))
            assert [transaction.reads.touched_by(list(written)) for written in commits] == [False, True]

    run(open_store, test)


def test_commit_notices_name_the_keys_removed_and_added(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        note = (await store.mutate(lambda t: t.insert("notes", {"author": "a"}))).value
        written: list[frozenset[IndexKey]] = []
        store.on_commit(lambda commit: written.append(commit.written))
        await store.mutate(lambda t: t.patch(decode_id(note), {"author": "b"}))
        async with store.snapshot() as transaction:
            number = index(transaction).number
            by_id = IndexKey(index(transaction, "by_id").number, encode_key((note,)))
        authors = {key.key[:3] for key in written[0] if key.index == number}
        assert authors == {encode_key(("a",)), encode_key(("b",))}
        assert by_id in written[0]
        assert len(written[0]) == 4

    run(open_store, test)


def test_writing_the_same_again_is_no_write(open_store: OpenStore) -> None:
    async def test(store: Store) -> None:
        note = (await store.mutate(lambda t: t.insert("notes", {"author": "a", "body": "b"}))).value
        commits: list[int] = []
        store.on_commit(lambda commit: commits.append(commit.ts))

        async def work(transaction: Transaction) -> None:
            await transaction.patch(decode_id(note), {"body": "b"})
            await transaction.replace(decode_id(note), {"body": "b", "author": "a"})
            await transaction.patch(decode_id(note), {"author": "z"})
            await transaction.patch(decode_id(note), {"author": "a"})
            passing = await transaction.insert("notes", {"author": "x"})
            await transaction.delete(decode_id(passing))

        await store.mutate(work)
        assert commits == []
        await store.mutate(lambda t: t.patch(decode_id(note), {"tags": 1}))
        await store.mutate(lambda t: t.patch(decode_id(note), {"tags": True}))
        assert len(commits) == 2

    run(open_store, test)
