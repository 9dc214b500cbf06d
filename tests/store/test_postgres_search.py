"""Search on PostgreSQL alone: with and without pgvector, and texts beyond what a tsvector holds."""

import asyncio
from random import Random
from typing import Any

import pytest

from pyconvex.clock import SystemClock
from pyconvex.schema import define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store.postgres.persistence import PostgresPersistence
from pyconvex.store.schema.catalog import IndexKind, id_in
from pyconvex.store.search.entries import filter_hash
from pyconvex.store.search.selection import SearchQuery
from pyconvex.store.search.terms import terms_sought
from pyconvex.store.search.vectors import VectorQuery, pack_vector
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import v
from pyconvex.values.ids import decode_id
from support.postgres import fresh_database, server

DIMENSIONS = 20
SCHEMA = define_schema(
    {
        "notes": define_table(v.any())
        .search_index("by_text", search_field="text", filter_fields=["by"])
        .vector_index("by_vector", vector_field="vector", dimensions=DIMENSIONS, filter_fields=["by"])
    }
)


async def _opened(url: str) -> Store:
    clock = SystemClock()
    store = Store(PostgresPersistence(url, clock=clock), Limits(), clock)
    await store.open()
    return store


def vectors() -> list[list[float]]:
    """Some of them equal, some opposite, some without a direction."""
    random = Random(1)
    drawn = [[random.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(600)]
    return [*drawn, *drawn[:50], *([-number for number in vector] for vector in drawn[:50]), *[[0.0] * DIMENSIONS] * 3]


async def _insert(store: Store, documents: list[dict[str, Any]]) -> None:
    async def work(transaction: Transaction) -> None:
        for document in documents:
            await transaction.insert("notes", document)

    await store.mutate(work)


async def _nearest(store: Store, vector: list[float], *by: int) -> list[tuple[Any, float]]:
    async with store.snapshot() as transaction:
        index = transaction.index("notes", "by_vector", IndexKind.VECTOR)
        packed = pack_vector(vector)
        assert index is not None and packed is not None
        query = VectorQuery(packed, 60, tuple((0, filter_hash(value)) for value in by))
        found = await transaction.nearest(index, query)
        documents = [await transaction.get(decode_id(id_in(key))) for key, _ in found]
        return [(document and document["n"], one.score) for document, one in zip(documents, found, strict=True)]


def _answers(url: str) -> list[Any]:
    async def run() -> list[Any]:
        store = await _opened(url)
        try:
            await store.activate(SCHEMA)
            stored = vectors()
            for at in range(0, len(stored), 100):
                part = enumerate(stored[at : at + 100], at)
                await _insert(store, [{"n": n, "vector": vector, "by": n % 3} for n, vector in part])
            wanted = [stored[7], [1.0] * DIMENSIONS, stored[-1]]
            return [await _nearest(store, vector, *by) for vector in wanted for by in ((), (1,), (0, 2))]
        finally:
            await store.close()

    return asyncio.run(run())


def _kept_as(name: str) -> str:
    rows = server().execute(
        "SELECT format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = 'pyconvex.vectors'::regclass AND attname = 'vector'",
        name,
    )
    return rows[0][0]


def _make_tables(url: str) -> None:
    async def run() -> None:
        await (await _opened(url)).close()

    asyncio.run(run())


def test_pgvector_and_the_scan_without_it_answer_alike() -> None:
    with fresh_database() as with_it, fresh_database() as without:
        urls = [server().database_url(name) for name in (with_it, without)]
        for url in urls:
            _make_tables(url)
        available = server().execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
        if not available:
            pytest.skip("the server has no pgvector")
        server().execute(
            "ALTER TABLE pyconvex.vectors ALTER COLUMN vector TYPE bytea USING pyconvex.vector_send(vector)", without
        )
        assert (_kept_as(with_it), _kept_as(without)) == ("pyconvex.vector", "bytea")
        assert _answers(urls[0]) == _answers(urls[1])


def test_the_extension_may_be_somewhere_else() -> None:
    with fresh_database() as name:
        if not server().execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
            pytest.skip("the server has no pgvector")
        server().execute('CREATE SCHEMA "My Extensions"', name)
        server().execute('CREATE EXTENSION vector SCHEMA "My Extensions"', name)
        url = server().database_url(name)
        _make_tables(url)
        assert _kept_as(name) == '"My Extensions".vector'
        assert len(_answers(url)[0]) == 60


def test_whoever_may_not_make_extensions_does_without() -> None:
    with fresh_database() as name:
        server().execute("DROP ROLE IF EXISTS searcher")
        server().execute("CREATE ROLE searcher LOGIN")
        try:
            server().execute(f"GRANT CREATE ON DATABASE {name} TO searcher")
            url = server().database_url(name, user="searcher")
            try:
                _make_tables(url)
                assert (_kept_as(name) == "bytea") != _may_make_extensions(name)
                assert len(_answers(url)[0]) == 60
            finally:
                server().execute("DROP OWNED BY searcher CASCADE", name)
        finally:
            server().execute("DROP ROLE searcher")


def _may_make_extensions(name: str) -> bool:
    rows = server().execute("SELECT bool_or(trusted) FROM pg_available_extension_versions WHERE name = 'vector'", name)
    return bool(rows[0][0])


def test_a_text_with_more_words_than_a_tsvector_holds() -> None:
    async def run(url: str) -> None:
        store = await _opened(url)
        try:
            await store.activate(SCHEMA)
            words = [f"word{number:05d}{'x' * 20}" for number in range(25_000)]
            await _insert(store, [{"n": 1, "text": " ".join(words), "by": 1}, {"n": 2, "text": "word24999"}])
            async with store.snapshot() as transaction:
                for text, by, expected in (
                    (words[0], (), [1]),
                    (words[-1], (1,), [1]),
                    (words[-1], (2,), []),
                    ("word24999", (), [2, 1]),
                    ("word", (), [1, 2]),
                ):
                    index = transaction.index("notes", "by_text", IndexKind.SEARCH)
                    terms = terms_sought(text)
                    assert index is not None and terms is not None
                    query = SearchQuery(terms, tuple((0, filter_hash(value)) for value in by))
                    assert [found["n"] async for found in transaction.search(index, query)] == expected
        finally:
            await store.close()

    with fresh_database() as name:
        asyncio.run(run(server().database_url(name)))
