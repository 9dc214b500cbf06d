"""Random mutations against a plain dict: own writes, sub-transactions and commits are seen by every way of reading."""

import asyncio
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]  # hypothesis leaves it untyped
)

from pyconvex.clock import SystemClock
from pyconvex.schema import define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import undefined, v
from pyconvex.values.ids import decode_id
from pyconvex.values.keys import behind, encode_key
from support.stores import LASTING, SQLITE, database_of

Document: TypeAlias = dict[str, Any]
Model: TypeAlias = dict[str, Document]

MISSING = "missing"
"""In place of a field's value: the document does not have it."""
scalars = st.sampled_from([MISSING, None, 0, 1, 2, "", "a", "b"])
positions = st.integers(0, 30)
INDEXES: dict[str, tuple[str, ...]] = {"by_id": (), "by_creation_time": (), "by_a": ("a",), "by_a_bc": ("a", "b.c")}


@dataclass(frozen=True)
class Query:
    index: str
    equal: Any
    """What `a` must equal, or `...` for anything; the bounds then are on `b.c`, otherwise on `a`."""
    low: Any
    high: Any
    low_open: bool
    high_open: bool
    reverse: bool
    limit: int | None


queries = st.builds(
    Query,
    st.sampled_from(list(INDEXES)),
    st.one_of(st.just(...), scalars),
    st.one_of(st.just(...), scalars),
    st.one_of(st.just(...), scalars),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.one_of(st.none(), st.integers(1, 6)),
)
writes = st.one_of(
    st.tuples(st.just("insert"), scalars, scalars),
    st.tuples(st.sampled_from(["patch", "replace"]), positions, scalars, scalars),
    st.tuples(st.just("delete"), positions),
    st.tuples(st.just("read"), queries),
)
programs = st.recursive(
    st.lists(writes, max_size=8),
    lambda inner: st.lists(
        st.one_of(writes, st.tuples(st.sampled_from(["layer", "failing layer"]), inner)), max_size=8
    ),
    max_leaves=25,
)


class Abandoned(Exception):
    """Makes a sub-transaction or a mutation fail."""


def rank(value: Any) -> tuple[Any, ...]:
    """Order of the values used here: missing, null, numbers, texts."""
    if value is MISSING:
        return (0,)
    if value is None:
        return (1,)
    return (3, value) if isinstance(value, str) else (2, value)


def field(document: Document, path: str) -> Any:
    if path == "b.c":
        return document["b"]["c"] if "b" in document else MISSING
    return document.get(path, MISSING)


def fields_of(a: Any, bc: Any) -> Document:
    fields: Document = {}
    if a is not MISSING:
        fields["a"] = a
    if bc is not MISSING:
        fields["b"] = {"c": bc}
    return fields


def expected(model: Model, query: Query) -> list[Document]:
    fields = INDEXES[query.index]
    bounded, equal = bounds_of(query)

    def matches(document: Document) -> bool:
        if equal and rank(field(document, fields[0])) != rank(query.equal):
            return False
        if bounded is None:
            return True
        value = rank(field(document, bounded))
        above = query.low is ... or value > rank(query.low) or (value == rank(query.low) and not query.low_open)
        below = query.high is ... or value < rank(query.high) or (value == rank(query.high) and not query.high_open)
        return above and below

    def order(document: Document) -> tuple[Any, ...]:
        if query.index == "by_id":
            return (document["_id"],)
        return (*(rank(field(document, path)) for path in fields), document["_creationTime"], document["_id"])

    found = sorted(filter(matches, model.values()), key=order, reverse=query.reverse)
    return found[: query.limit]


def bounds_of(query: Query) -> tuple[str | None, bool]:
    """The field that the bounds are on, and whether the first field has to be equal to something."""
    fields = INDEXES[query.index]
    if not fields:
        return None, False
    if query.equal is ...:
        return fields[0], False
    return (fields[1] if len(fields) > 1 else None), True


def key_range(query: Query) -> tuple[bytes, bytes | None]:
    bounded, equal = bounds_of(query)
    prefix = encode_key([part(query.equal)]) if equal else b""
    start, stop = prefix, behind(prefix) if prefix else None
    if bounded is not None and query.low is not ...:
        low = prefix + encode_key([part(query.low)])
        start = behind(low) if query.low_open else low
    if bounded is not None and query.high is not ...:
        high = prefix + encode_key([part(query.high)])
        stop = high if query.high_open else behind(high)
    return start, stop


def part(value: Any) -> Any:
    return undefined if value is MISSING else value


async def run_program(transaction: Transaction, model: Model, program: list[Any]) -> None:
    for name, *operands in program:
        if name == "layer":
            with transaction.layer():
                await run_program(transaction, model, operands[0])
        elif name == "failing layer":
            before = deepcopy(model)
            with abandoned(), transaction.layer():
                await run_program(transaction, model, operands[0])
                raise Abandoned
            model.clear()
            model.update(before)
        elif name == "read":
            await check(transaction, model, operands[0])
        else:
            await write(transaction, model, name, operands)


@contextmanager
def abandoned() -> Generator[None]:
    try:
        yield
    except Abandoned:
        return
    raise AssertionError("the layer swallowed an error")


async def write(transaction: Transaction, model: Model, name: str, operands: list[Any]) -> None:
    if name == "insert":
        fields = fields_of(*operands)
        key = await transaction.insert("things", fields)
        stored = await transaction.get(decode_id(key))
        assert stored is not None
        model[key] = {"_id": key, "_creationTime": stored["_creationTime"], **fields}
        assert stored == model[key]
        return
    if not model:
        return
    position: int = operands[0]
    key = list(model)[position % len(model)]
    if name == "delete":
        await transaction.delete(decode_id(key))
        del model[key]
        return
    fields = fields_of(*operands[1:])
    system = {field: model[key][field] for field in ("_id", "_creationTime")}
    if name == "replace":
        await transaction.replace(decode_id(key), fields)
        model[key] = system | fields
    else:
        removed = {"a", "b"} - fields.keys()
        await transaction.patch(decode_id(key), fields | dict.fromkeys(removed, undefined))
        model[key] = system | fields


async def check(transaction: Transaction, model: Model, query: Query) -> None:
    index = transaction.index("things", query.index)
    assert index is not None
    start, stop = key_range(query)
    taken = await transaction.take(index, start, stop, reverse=query.reverse, limit=query.limit)
    assert taken == expected(model, query)
    scan = transaction.scan(index, start, stop, reverse=query.reverse, limit=query.limit)
    assert [document async for document in scan] == taken


class StoreAgainstDict(RuleBasedStateMachine):
    kind = "file"

    def __init__(self) -> None:
        super().__init__()
        self.closing = ExitStack()
        folder = Path(self.closing.enter_context(TemporaryDirectory(prefix="pyconvex-model-")))
        self.database = self.closing.enter_context(database_of(self.kind, folder))
        self.loop = asyncio.new_event_loop()
        self.model: Model = {}
        small_pages = self.closing.enter_context(pytest.MonkeyPatch.context())
        for module in ("scan", "transaction"):
            # Pages of three rows: so few documents already need several.
            small_pages.setattr(f"pyconvex.store.{module}.PAGE_ROWS_MAX", 3)
        self.store = self.opened()

    def opened(self) -> Store:
        store = Store(self.database.persistence(), Limits(), SystemClock())
        self.loop.run_until_complete(store.open())
        things = define_table(v.any()).index("by_a", ["a"]).index("by_a_bc", ["a", "b.c"])
        self.loop.run_until_complete(store.activate(define_schema({"things": things})))
        return store

    def teardown(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.close()
        self.closing.close()

    @rule(program=programs)
    def mutate(self, program: list[Any]) -> None:
        after = deepcopy(self.model)
        self.loop.run_until_complete(self.store.mutate(lambda transaction: run_program(transaction, after, program)))
        self.model = after

    @precondition(lambda self: self.kind in SQLITE)
    @rule(programs=st.lists(programs, min_size=2, max_size=3))
    def mutate_together(self, programs: list[list[Any]]) -> None:
        """Batch-mates run in the order in which they came."""
        after = deepcopy(self.model)

        async def all_at_once() -> None:
            work = [partial(run_program, model=after, program=program) for program in programs]
            await asyncio.gather(*[self.store.mutate(one) for one in work])

        self.loop.run_until_complete(all_at_once())
        self.model = after

    @rule(program=programs)
    def fail(self, program: list[Any]) -> None:
        async def work(transaction: Transaction) -> None:
            await run_program(transaction, deepcopy(self.model), program)
            raise Abandoned

        with abandoned():
            self.loop.run_until_complete(self.store.mutate(work))

    @rule(query=queries)
    def query(self, query: Query) -> None:
        async def read() -> None:
            async with self.store.snapshot() as transaction:
                await check(transaction, self.model, query)

        self.loop.run_until_complete(read())

    @precondition(lambda self: self.kind in LASTING)
    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.store = self.opened()

    @invariant()
    def every_index_holds_every_document_once(self) -> None:
        async def read() -> None:
            async with self.store.snapshot() as transaction:
                for name in INDEXES:
                    await check(transaction, self.model, Query(name, ..., ..., ..., False, False, False, None))

        self.loop.run_until_complete(read())


class TemporaryStoreAgainstDict(StoreAgainstDict):
    kind = "memory"


class PostgresStoreAgainstDict(StoreAgainstDict):
    kind = "postgres"


quick = settings(
    max_examples=25,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("machine", [StoreAgainstDict, TemporaryStoreAgainstDict, PostgresStoreAgainstDict])
def test_the_store_behaves_as_a_dict_would(machine: type[StoreAgainstDict]) -> None:
    few = settings(quick, max_examples=6) if machine.kind == "postgres" else quick
    run_state_machine_as_test(machine, settings=few)
