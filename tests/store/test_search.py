"""Search and vector indexes: what is written is found, inside the transaction and after it, on every engine."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.errors import DeveloperError
from pyconvex.schema import Schema, define_schema, define_table
from pyconvex.store.schema.catalog import Index, IndexKind, IndexState, id_in
from pyconvex.store.search.entries import filter_hash
from pyconvex.store.search.scan import SearchScan
from pyconvex.store.search.selection import CANDIDATES_MAX, SearchQuery
from pyconvex.store.search.terms import terms_sought
from pyconvex.store.search.vectors import VectorQuery, pack_vector
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value, undefined, v
from pyconvex.values.ids import decode_id
from support.stores import KINDS, Database, OpenStore, database_of

SCHEMA = define_schema(
    {
        "notes": define_table(v.any())
        .search_index("by_text", search_field="text", filter_fields=["by", "at.place"])
        .search_index("by_title", search_field="meta.title")
        .vector_index("by_vector", vector_field="vector", dimensions=2, filter_fields=["by"])
    }
)
Document = dict[str, Any]


def searching(transaction: Transaction, text: str, index: str = "by_text", **filters: Value) -> SearchScan:
    found = transaction.index("notes", index, IndexKind.SEARCH)
    terms = terms_sought(text)
    assert found is not None and terms is not None
    return transaction.search(found, SearchQuery(terms, _filters(found, filters)))


async def search(transaction: Transaction, text: str, index: str = "by_text", **filters: Value) -> list[Any]:
    """What is found, by the documents' `n`."""
    return [document["n"] async for document in searching(transaction, text, index, **filters)]


async def nearest(store: Store, *vector: float, limit: int = 10, any_of: Sequence[Value] = ()) -> list[Any]:
    async with store.snapshot() as transaction:
        index = transaction.index("notes", "by_vector", IndexKind.VECTOR)
        packed = pack_vector(vector)
        assert index is not None and packed is not None
        filters = tuple((0, filter_hash(value)) for value in any_of)
        found = await transaction.nearest(index, VectorQuery(packed, limit, filters))
        documents = [await transaction.get(decode_id(id_in(one.key))) for one in found]
        return [document["n"] for document in documents if document is not None]


def _filters(index: Index, filters: dict[str, Value]) -> tuple[tuple[int, bytes], ...]:
    names = {"by": 0, "place": 1}
    return tuple((names[name], filter_hash(value)) for name, value in filters.items())


async def insert(store: Store, *documents: Document) -> list[str]:
    async def work(transaction: Transaction) -> list[str]:
        return [await transaction.insert("notes", document) for document in documents]

    return (await store.mutate(work)).value


async def found(store: Store, text: str, index: str = "by_text", **filters: Value) -> list[Any]:
    async with store.snapshot() as transaction:
        return await search(transaction, text, index, **filters)


def test_documents_are_found_by_words_and_by_the_beginning_of_the_last(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            await insert(
                store,
                {"n": 1, "text": "Hello world"},
                {"n": 2, "text": "hello there, HELLO!"},
                {"n": 3, "text": "worldly goods"},
                {"n": 4, "text": 5},
                {"n": 5},
                {"n": 6, "text": "—"},
                {"n": 7, "text": "Déjà vu हिन्दी"},
            )
            assert await found(store, "hello") == [2, 1]
            assert await found(store, "world") == [1, 3]
            assert await found(store, "world hello") == [1, 2]
            assert await found(store, "hello wor") == [1, 2, 3]
            assert await found(store, "hell") == [2, 1]
            assert await found(store, "hell there") == [2]
            assert await found(store, "déj") == [7]
            assert await found(store, "हिन्दी") == [7]
            assert await found(store, "nothing") == []

    asyncio.run(test())


def test_filters_are_exact(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            await insert(
                store,
                {"n": 1, "text": "x", "by": "ada", "at": {"place": 1}},
                {"n": 2, "text": "x", "by": "bob", "at": {"place": 1.0}},
                {"n": 3, "text": "x", "by": None, "at": {"place": [1]}},
                {"n": 4, "text": "x", "at": 1},
            )
            assert await found(store, "x", by="ada") == [1]
            assert await found(store, "x", by=None) == [3]
            assert await found(store, "x", by=cast(Value, undefined)) == [4]
            assert await found(store, "x", place=1) == [2, 1]
            assert await found(store, "x", place=1, by="bob") == [2]
            assert await found(store, "x", place=[1]) == [3]
            assert await found(store, "x", place=cast(Value, undefined)) == [4]
            assert await found(store, "y", by="ada") == []

    asyncio.run(test())


def test_two_indexes_of_one_table_know_nothing_of_each_other(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            (one, _) = await insert(
                store,
                {"n": 1, "text": "cat", "meta": {"title": "dog"}},
                {"n": 2, "text": "dog", "meta": {"title": "cat"}},
            )
            assert await found(store, "cat") == [1]
            assert await found(store, "cat", "by_title") == [2]
            await store.mutate(lambda transaction: transaction.patch(decode_id(one), {"meta": {"title": "cat"}}))
            assert await found(store, "cat") == [1]
            assert await found(store, "cat", "by_title") == [2, 1]
            assert await found(store, "dog", "by_title") == []

    asyncio.run(test())


def test_a_mutation_finds_what_it_has_written(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            old = await insert(store, *({"n": n, "text": "old word"} for n in range(3)))

            async def work(transaction: Transaction) -> None:
                await transaction.patch(decode_id(old[0]), {"text": "new word"})
                await transaction.delete(decode_id(old[1]))
                await transaction.insert("notes", {"n": 3, "text": "new word"})
                assert await search(transaction, "old") == [2]
                assert await search(transaction, "new") == [3, 0]
                assert await search(transaction, "word") == [3, 2, 0]
                await transaction.patch(decode_id(old[2]), {"n": 9})
                assert await search(transaction, "old") == [9]

            await store.mutate(work)
            assert await found(store, "old") == [9]
            assert await found(store, "new") == [3, 0]

            async def give_up(transaction: Transaction) -> None:
                with pytest.raises(ZeroDivisionError), transaction.layer():
                    await transaction.insert("notes", {"n": 10, "text": "new"})
                    assert await search(transaction, "new") == [10, 3, 0]
                    raise ZeroDivisionError
                assert await search(transaction, "new") == [3, 0]

            await store.mutate(give_up)

    asyncio.run(test())


def test_what_is_deleted_while_results_are_read_is_passed_over(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            ids = await insert(store, *({"n": n, "text": "word"} for n in range(40)))

            async def work(transaction: Transaction) -> list[Any]:
                seen: list[Any] = []
                async for document in searching(transaction, "word"):
                    seen.append(document["n"])
                    if len(seen) == 1:
                        for old in ids[:20]:
                            await transaction.delete(decode_id(old))
                return seen

            assert (await store.mutate(work)).value == list(range(39, 19, -1))
            assert len(await found(store, "word")) == 20

    asyncio.run(test())


def test_a_transaction_depends_on_the_terms_it_looks_for(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            ids = await insert(store, {"n": 1, "text": "one two"}, {"n": 2, "text": "three"})
            async with store.snapshot() as transaction:
                await search(transaction, "one twi")
                reads = transaction.reads
            heard: list[bool] = []
            store.on_commit(lambda commit: heard.append(reads.touched_by(list(commit.written))))

            async def touches(document: Document) -> bool:
                await insert(store, document)
                return heard[-1]

            texts = {"one": True, "ones": False, "twi": True, "twice": True, "tw": False, "four": False, "ONE!": True}
            assert {text: await touches({"text": text}) for text in texts} == texts
            await store.mutate(lambda transaction: transaction.patch(decode_id(ids[0]), {"n": 5}))
            await store.mutate(lambda transaction: transaction.patch(decode_id(ids[1]), {"n": 5}))
            await store.mutate(lambda transaction: transaction.patch(decode_id(ids[0]), {"text": "four"}))
            await store.mutate(lambda transaction: transaction.patch(decode_id(ids[0]), {"text": "five"}))
            assert heard[-4:] == [True, False, True, False]

    asyncio.run(test())


def test_usage_counts_the_documents_that_are_taken(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            await insert(store, *({"n": n, "text": "word"} for n in range(30)))
            async with store.snapshot() as transaction:
                taken = 0
                async for _ in searching(transaction, "word"):
                    taken += 1
                    if taken == 5:
                        break
                usage = transaction.usage
                assert (usage.documents_read, usage.ranges_read) == (5, 1)
                assert usage.bytes_read > 5 * 60

    asyncio.run(test())


def test_more_than_a_search_can_rank(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            rare = {"n": -1, "text": "the rare one"}
            both = {"n": -2, "text": "the other one"}
            common = [{"n": n, "text": "the common"} for n in range(CANDIDATES_MAX + 10)]
            others = [{"n": n, "text": "other"} for n in range(CANDIDATES_MAX + 10)]
            await insert(store, rare, both, *common)
            async with store.snapshot() as transaction:
                scan = searching(transaction, "the rare")
                assert (await anext(scan))["n"] == -1
                with pytest.raises(DeveloperError) as refused:
                    async for _ in scan:
                        pass
                assert transaction.usage.documents_read == CANDIDATES_MAX
            assert refused.value.message == (
                "Search query scanned too many documents (fetched 1024). "
                "Use a smaller limit, paginate the query, or use more filter conditions."
            )
            await insert(store, *others)
            async with store.snapshot() as transaction:
                assert (await anext(searching(transaction, "the other")))["n"] == -2

            async def exactly(transaction: Transaction) -> int:
                for document in [document async for document in transaction.scan(_by_id(transaction))]:
                    if document["text"] == "the common" and cast(int, document["n"]) >= CANDIDATES_MAX - 2:
                        await transaction.delete(decode_id(cast(str, document["_id"])))
                return len(await search(transaction, "the"))

            assert (await store.mutate(exactly)).value == CANDIDATES_MAX
            assert len(await found(store, "the")) == CANDIDATES_MAX

    asyncio.run(test())


def _by_id(transaction: Transaction) -> Index:
    index = transaction.index("notes", "by_id")
    assert index is not None
    return index


def test_a_page_begins_and_ends_at_positions(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            await insert(store, *({"n": n, "text": "word " * (1 + n % 3)} for n in range(30)))
            async with store.snapshot() as transaction:
                scan = searching(transaction, "word")
                everything = [(scan.row[0], document["n"]) async for document in scan]
                index = transaction.index("notes", "by_text", IndexKind.SEARCH)
                terms = terms_sought("word")
                assert index is not None and terms is not None
                start, stop = everything[7][0], everything[19][0]
                part = transaction.search(index, SearchQuery(terms, ()), start, stop)
                assert [document["n"] async for document in part] == [n for _, n in everything[7:19]]
                assert sorted(everything) == everything

    asyncio.run(test())


def test_vectors(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(SCHEMA) as store:
            ids = await insert(
                store,
                {"n": "east", "vector": [2.0, 0.0], "by": "ada"},
                {"n": "north", "vector": [0, 1], "by": "bob"},
                {"n": "north-east", "vector": [1.0, 1.0], "by": "bob"},
                {"n": "west", "vector": [-1.0, 0.0]},
                {"n": "zero", "vector": [0.0, 0.0], "by": "cid"},
                {"n": "too long", "vector": [1.0, 0.0, 0.0]},
                {"n": "not numbers", "vector": ["a", "b"]},
                {"n": "none"},
            )
            assert await nearest(store, 1.0, 0.1) == ["east", "north-east", "north", "zero", "west"]
            assert await nearest(store, 1.0, 0.1, limit=2) == ["east", "north-east"]
            assert await nearest(store, 1.0, 0.1, any_of=["bob"]) == ["north-east", "north"]
            assert await nearest(store, 1.0, 0.1, any_of=["bob", "cid"]) == ["north-east", "north", "zero"]
            assert await nearest(store, 1.0, 0.1, any_of=[cast(Value, undefined)]) == ["west"]
            await store.mutate(lambda transaction: transaction.patch(decode_id(ids[0]), {"vector": [-1.0, -0.1]}))
            await store.mutate(lambda transaction: transaction.delete(decode_id(ids[3])))
            assert await nearest(store, 1.0, 0.1) == ["north-east", "north", "zero", "east"]
            await store.mutate(lambda transaction: transaction.patch(decode_id(ids[0]), {"by": "bob"}))
            assert await nearest(store, 1.0, 0.1, any_of=["bob"]) == ["north-east", "north", "east"]

    asyncio.run(test())


def _indexed(*, staged: bool = False, fields: Sequence[str] = ()) -> Schema:
    table = define_table(v.any())
    table.search_index("by_text", search_field="text", filter_fields=fields, staged=staged)
    table.vector_index("by_vector", vector_field="vector", dimensions=2, staged=staged)
    return define_schema({"notes": table})


def test_indexes_come_and_go(open_store: OpenStore) -> None:
    async def test() -> None:
        plain = define_schema({"notes": define_table(v.any())})
        async with open_store(plain) as store:
            await insert(store, *({"n": n, "text": f"word w{n}", "vector": [n, 1.0], "by": n % 2} for n in range(300)))
            change = await store.activate(_indexed())
            assert change.indexes_created == ("notes.by_text", "notes.by_vector")
            assert len(await found(store, "word")) == 300
            assert await found(store, "w29") == [29, *range(299, 289, -1)]
            assert await nearest(store, 1.0, 0.0, limit=1) == [299]

            change = await store.activate(_indexed(fields=["by"]))
            assert (change.indexes_created, change.indexes_dropped) == (("notes.by_text",), ("notes.by_text",))
            assert await found(store, "w2", by=0.0) == [2, *range(298, 198, -2), *range(28, 18, -2)]

            await store.activate(plain)
            async with store.snapshot() as transaction:
                assert transaction.index("notes", "by_text", IndexKind.SEARCH) is None
            await store.activate(_indexed(staged=True))
            while set(await _states(store)) != {IndexState.STAGED}:
                await asyncio.sleep(0.01)
            change = await store.activate(_indexed())
            assert (change.indexes_created, change.indexes_dropped) == ((), ())
            assert len(await found(store, "word")) == 300
            assert await nearest(store, 1.0, 0.0, limit=1) == [299]

    asyncio.run(test())


async def _states(store: Store) -> list[IndexState]:
    async with store.snapshot() as transaction:
        table = transaction.catalog.table("notes")
        assert table is not None
        return [index.state for index in table.searched]


def test_what_is_written_while_an_index_is_built_is_in_it(open_store: OpenStore) -> None:
    async def test() -> None:
        async with open_store(define_schema({"notes": define_table(v.any())})) as store:
            ids = await insert(store, *({"n": n, "text": "old", "vector": [1.0, n]} for n in range(200)))

            async def write() -> None:
                for n in range(0, 200, 2):
                    if n % 3:
                        await store.mutate(lambda t, n=n: t.patch(decode_id(ids[n]), {"text": "new", "vector": None}))
                    else:
                        await store.mutate(lambda t, n=n: t.delete(decode_id(ids[n])))
                    await insert(store, {"n": 1000 + n, "text": "new"})

            await asyncio.gather(store.activate(_indexed()), write())
            new = {n for n in range(0, 200, 2) if n % 3} | {1000 + n for n in range(0, 200, 2)}
            assert set(await found(store, "new")) == new
            assert set(await found(store, "old")) == set(range(1, 200, 2))
            assert set(await nearest(store, 1.0, 0.0, limit=256)) == set(range(1, 200, 2))

    asyncio.run(test())


WORDS = st.sampled_from(["a", "ab", "abc", "b", "ba", "Straße", "ÄB", "x1", "१२"])
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
VECTORS = st.lists(st.integers(-2, 2).map(float), min_size=2, max_size=2)
DOCUMENTS = st.fixed_dictionaries({"text": TEXTS, "by": st.integers(0, 1), "vector": VECTORS})


async def _answers(
    database: Database,
    documents: list[Document],
    changed: dict[int, Document | None],
    queries: list[tuple[str, int | None]],
    vectors: list[list[float]],
) -> list[Any]:
    """What a database answers that holds these documents, after some were changed or deleted."""

    async def ask(transaction: Transaction, text: str, by: int | None) -> list[Any]:
        return await (search(transaction, text) if by is None else search(transaction, text, by=by))

    async with database.open(SCHEMA) as store:
        ids = await insert(store, *({"n": n, **document} for n, document in enumerate(documents)))

        async def change(transaction: Transaction) -> list[Any]:
            for n, document in changed.items():
                if document is None:
                    await transaction.delete(decode_id(ids[n]))
                else:
                    await transaction.patch(decode_id(ids[n]), document)
            return [await ask(transaction, *query) for query in queries]

        async def clear(transaction: Transaction) -> None:
            for n, stored in enumerate(ids):
                if n not in changed or changed[n] is not None:
                    await transaction.delete(decode_id(stored))

        within = (await store.mutate(change)).value
        async with store.snapshot() as transaction:
            after = [await ask(transaction, *query) for query in queries]
        assert within == after
        near = [await nearest(store, *vector, limit=5) for vector in vectors]
        await store.mutate(clear)
        return [after, near]


def test_all_engines_answer_alike(tmp_path: Path) -> None:
    with ExitStack() as stack:
        databases = [stack.enter_context(database_of(kind, tmp_path)) for kind in KINDS]

        @settings(max_examples=25, deadline=None)
        @given(
            st.lists(DOCUMENTS, min_size=1, max_size=25),
            st.dictionaries(st.integers(0, 24), st.none() | DOCUMENTS, max_size=5),
            st.lists(st.tuples(TEXTS, st.sampled_from([None, 0, 1])), min_size=1, max_size=6),
            st.lists(VECTORS, min_size=1, max_size=3),
        )
        def test(
            documents: list[Document],
            changed: dict[int, Document | None],
            queries: list[tuple[str, int | None]],
            vectors: list[list[float]],
        ) -> None:
            changes = {n: document for n, document in changed.items() if n < len(documents)}
            first, *others = (
                asyncio.run(_answers(database, documents, changes, queries, vectors)) for database in databases
            )
            assert others == [first] * len(others)

        test()
