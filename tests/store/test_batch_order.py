"""What one batch writes is what its members would have written one after another, in the order of their timestamps."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyconvex.store.keys import Changes, DocumentChange, IndexKey, KeyRange, NewEntry, NewFound, ReadSet
from pyconvex.store.persistence import Committed, Persistence, Reader
from pyconvex.store.search.entries import Entry, FoundChange, SearchEntry, VectorEntry
from pyconvex.store.search.selection import SearchQuery
from pyconvex.store.search.terms import terms_sought
from pyconvex.store.search.vectors import VectorQuery, pack_vector
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.stores import Database, database_of

VALUES = ("ant", "bee", "cat")
ANGLES = {"ant": [1.0, 0.0], "bee": [0.0, 1.0], "cat": [-1.0, 0.0]}
DOCUMENTS = range(4)
_numbers = count(1000, 10)


class Indexes(NamedTuple):
    """The indexes of one table; the last three are in the making."""

    by_id: int
    by_creation_time: int
    by_value: int
    by_text: int
    by_vector: int

    @classmethod
    def fresh(cls) -> "Indexes":
        first = next(_numbers)
        return cls(*range(first, first + 5))


def id_of(document: int) -> bytes:
    return b"id%d" % document


def created(document: int) -> bytes:
    return b"created%d" % document


def value_key(document: int, value: str) -> bytes:
    return b"%b by %d" % (value.encode(), document)


def text_entry(value: str) -> Entry:
    return SearchEntry(value, ())


def vector_entry(value: str) -> Entry:
    packed = pack_vector(ANGLES[value])
    assert packed is not None
    return VectorEntry(packed, ())


def placed(indexes: Indexes, document: int, value: str) -> Changes:
    """A document from before the indexes in the making."""
    keys = (id_of(document), created(document))
    change = DocumentChange(indexes[:2], (), keys, 1, value.encode())
    return Changes(ReadSet(), [change], inserts_only=True)


def changed(indexes: Indexes, document: int, before: str | None, after: str | None) -> DocumentChange:
    """What a write is that knows of all indexes."""

    def keys(value: str | None) -> tuple[bytes, ...]:
        return () if value is None else (id_of(document), created(document), value_key(document, value))

    found = tuple(
        FoundChange(index, None if before is None else entry(before), None if after is None else entry(after))
        for index, entry in ((indexes.by_text, text_entry), (indexes.by_vector, vector_entry))
    )
    return DocumentChange(indexes[:3], keys(before), keys(after), 1, (after or "").encode(), found)


def filling(indexes: Indexes, values: Mapping[int, str]) -> Changes:
    """What the indexes in the making get of these documents."""
    entries = [
        NewEntry(indexes.by_id, id_of(document), indexes.by_value, value_key(document, value))
        for document, value in values.items()
    ]
    found = [
        NewFound(index, entry(value), IndexKey(indexes.by_id, id_of(document)), created(document))
        for document, value in values.items()
        for index, entry in ((indexes.by_text, text_entry), (indexes.by_vector, vector_entry))
    ]
    return Changes(ReadSet(), entries=entries, found=found)


Contents: TypeAlias = dict[str, Any]


async def contents(persistence: Persistence, indexes: Indexes) -> Contents:
    """All that readers can meet of one table."""
    async with persistence.snapshot() as reader:
        spans = {name: KeyRange(number, b"", None) for name, number in zip(Indexes._fields, indexes, strict=True)}
        return {
            "documents": await rows(reader, spans["by_id"]),
            "by creation time": await rows(reader, spans["by_creation_time"]),
            "by value": await rows(reader, spans["by_value"]),
            "entries": [*await reader.keys(spans["by_value"], limit=99)],
            "texts": {value: await found(reader, indexes.by_text, value) for value in VALUES},
            "vectors": await similar(reader, indexes.by_vector),
        }


async def rows(reader: Reader, span: KeyRange) -> list[tuple[bytes, bytes]]:
    scanned = await reader.scan(span, reverse=False, limit=99, bytes_max=10**6)
    return [(key, bytes(body)) for key, _size, body in scanned]


async def found(reader: Reader, index: int, value: str) -> list[tuple[bytes, str]]:
    terms = terms_sought(value)
    assert terms is not None
    candidates, _ = await reader.search(index, SearchQuery(terms, ()), limit=99)
    return sorted((candidate.key, candidate.text) for candidate in candidates)


async def similar(reader: Reader, index: int) -> list[tuple[bytes, float]]:
    packed = pack_vector([1.0, 0.0])
    assert packed is not None
    return sorted((one.key, round(one.score, 3)) for one in await reader.nearest(index, VectorQuery(packed, 99, ())))


def as_computed(changes: Changes) -> Callable[[Reader], Coroutine[Any, Any, tuple[None, Changes]]]:
    """A mutation that only writes, and knows already what."""

    async def work(_reader: Reader) -> tuple[None, Changes]:
        return None, changes

    return work


def run(database: Database, test: Callable[[Persistence], Awaitable[None]]) -> None:
    async def main() -> None:
        persistence = database.persistence()
        await persistence.open()
        try:
            await test(persistence)
        finally:
            await persistence.close()

    asyncio.run(main())


@pytest.mark.parametrize("after", ["bee", None], ids=["patched", "deleted"])
def test_what_changes_after_it_was_added_to_a_new_index_is_found_as_it_is_then(
    database: Database, after: str | None
) -> None:
    async def test(persistence: Persistence) -> None:
        indexes = Indexes.fresh()
        await persistence.transact(as_computed(placed(indexes, 0, "ant")))
        fill = filling(indexes, {0: "ant"})
        write = Changes(ReadSet(), [changed(indexes, 0, "ant", after)])
        first, second = await asyncio.gather(
            persistence.transact(as_computed(fill)), persistence.transact(as_computed(write))
        )
        assert first.ts < second.ts
        if database.kind == "postgres":
            assert second.ts == first.ts + 1, "both are in one batch"
        key = created(0)
        expected = [value_key(0, after)] if after else []
        seen = await contents(persistence, indexes)
        assert seen["entries"] == expected
        assert [row[0] for row in seen["by value"]] == expected
        assert seen["texts"] == {value: [(key, value)] if value == after else [] for value in VALUES}
        assert seen["vectors"] == ([(key, 0.0)] if after else [])

    run(database, test)


class Member(NamedTuple):
    """One mutation of a batch: it fills the new indexes, or writes documents; None stands for a deletion."""

    writes: Mapping[int, str | None] | None

    async def run(self, reader: Reader, indexes: Indexes) -> tuple[bool, Changes]:
        """Whether there is anything to write, and what."""
        changes = await self._changes(reader, indexes)
        return not changes.empty, changes

    async def _changes(self, reader: Reader, indexes: Indexes) -> Changes:
        if self.writes is None:
            return await self._fill(reader, indexes)
        reads = ReadSet()
        documents: list[DocumentChange] = []
        for document, after in self.writes.items():
            reads.add_point(indexes.by_id, id_of(document))
            row = await reader.get(indexes.by_id, id_of(document))
            before = None if row is None else bytes(row[1]).decode()
            if before != after:
                documents.append(changed(indexes, document, before, after))
        return Changes(reads, documents)

    async def _fill(self, reader: Reader, indexes: Indexes) -> Changes:
        values = {
            int(key.removeprefix(b"created")): body.decode()
            for key, body in await rows(reader, KeyRange(indexes.by_creation_time, b"", None))
        }
        changes = filling(indexes, values)
        changes.reads.add(indexes.by_creation_time, b"", None)
        return changes


FILL = Member(None)
members = st.one_of(
    st.just(FILL),
    st.dictionaries(st.sampled_from(DOCUMENTS), st.sampled_from([*VALUES, None]), min_size=1, max_size=3).map(Member),
)


async def in_one_batch(
    persistence: Persistence, indexes: Indexes, batch: Sequence[Member]
) -> list[tuple[Member, Committed[bool]]]:
    """Run mutations at once so that they end together, in their order; those that meet conflicts run again."""
    loop = asyncio.get_running_loop()
    running = len(batch)
    ends = [loop.create_future() for _ in batch]

    async def ended(place: int) -> None:
        nonlocal running
        running -= 1
        if not running:
            for end in ends:
                end.set_result(None)
        await ends[place]

    async def run(place: int, member: Member) -> tuple[Member, Committed[bool]]:
        first = True

        async def work(reader: Reader) -> tuple[bool, Changes]:
            nonlocal first
            done = await member.run(reader, indexes)
            if first:
                first = False
                await ended(place)
            return done

        return member, await persistence.transact(work, patient=True)

    async with asyncio.timeout(20):
        return await asyncio.gather(*[run(place, member) for place, member in enumerate(batch)])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[asyncio.Runner, Persistence, Persistence]]:
    """PostgreSQL, and what is true by its simplicity: SQLite, used by one mutation at a time."""
    with database_of("postgres", tmp_path_factory.mktemp("pair")) as database, asyncio.Runner() as runner:
        postgres, reference = database.persistence(), SqlitePersistence(None)
        runner.run(postgres.open())
        runner.run(reference.open())
        yield runner, postgres, reference
        runner.run(postgres.close())
        runner.run(reference.close())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(DOCUMENTS), st.sampled_from(VALUES)),
    st.lists(members, min_size=2, max_size=6),
)
@example({0: "ant"}, [FILL, Member({0: "bee"})])
@example({0: "ant"}, [Member({0: "bee"}), FILL, Member({0: None})])
@example({}, [Member({0: "ant"}), Member({0: "bee"}), Member({0: None})])
@example({0: "ant"}, [Member({0: None}), Member({0: "ant"})])
@example({0: "ant", 1: "bee"}, [Member({0: "bee", 1: "ant"}), FILL, Member({1: None})])
def test_a_batch_is_its_members_one_after_another(
    pair: tuple[asyncio.Runner, Persistence, Persistence], before: dict[int, str], batch: list[Member]
) -> None:
    runner, postgres, reference = pair

    async def compare() -> None:
        indexes = Indexes.fresh()
        for persistence in (postgres, reference):
            for document, value in before.items():
                await persistence.transact(as_computed(placed(indexes, document, value)))
        outcomes = await in_one_batch(postgres, indexes, batch)
        wrote = [outcome for outcome in outcomes if outcome[1].value]
        for member, _ in sorted(wrote, key=lambda outcome: outcome[1].ts):
            await reference.transact(lambda reader, member=member: member.run(reader, indexes))
        assert await contents(postgres, indexes) == await contents(reference, indexes)

    runner.run(compare())
