"""Queries against a plain list of documents, whose order and filters are written down here without any key bytes."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cmp_to_key, partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyconvex.functions.function import Kind
from pyconvex.values import Int64, undefined
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

Document: TypeAlias = dict[str, Any]

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "things": define_table(v.any()).index("by_a", ["a"]).index("by_a_bc", ["a", "b.c"]),
})
"""
MODULE = """
from typing import Any

asked = []

@query
async def page(ctx, options: Any):
    return await asked.pop().of(ctx.db).paginate(options)
"""
INDEXES: dict[str, tuple[str, ...]] = {
    "by_id": ("_id",),
    "by_creation_time": ("_creationTime",),
    "by_a": ("a", "_creationTime"),
    "by_a_bc": ("a", "b.c", "_creationTime"),
}
RANKS: list[type] = [type(undefined), type(None), Int64, float, bool, str, bytes, list, dict]

values = st.sampled_from(
    [
        undefined, None, Int64(-1), Int64(2), -math.inf, -1, -0.0, 0, 1.5, 2, math.inf, math.nan, False, True,
        "", "a", "a\0", "a\0b", "ab", "\uffff", "😀", b"", b"\0", b"\xff", [], [None], [None, 1], [2], {}, {"x": 1},
    ]
)  # fmt: skip
few_values = st.sampled_from([undefined, None, 1, 2, "a"])


def compare(left: Any, right: Any) -> int:
    """Convex's order, from its description: by type, then within the type."""
    left, right = (float(each) if type(each) is int else each for each in (left, right))
    rank = RANKS.index(kind_of(left)) - RANKS.index(kind_of(right))
    if rank:
        return rank
    if isinstance(left, float):
        left, right = ((math.isnan(each), math.isnan(each) or each, math.copysign(1, each)) for each in (left, right))
    elif isinstance(left, dict | list):
        return compare_parts(parts_of(left), parts_of(right))
    return 0 if left is right else (left > right) - (left < right)


def kind_of(value: object) -> type:
    return type(value)


def parts_of(container: Any) -> list[Any]:
    if isinstance(container, list):
        return cast("list[Any]", container)
    return [part for name in sorted(container) for part in (name, container[name])]


def compare_parts(left: list[Any], right: list[Any]) -> int:
    order = next((order for pair in zip(left, right, strict=False) if (order := compare(*pair))), 0)
    return order or len(left) - len(right)


def field(document: Document, path: str) -> Any:
    value: Any = document
    for name in path.split("."):
        value = cast("Document", value).get(name, undefined) if isinstance(value, dict) else undefined
    return value


HOLDS: dict[str, Callable[[int], bool]] = {
    "eq": lambda order: order == 0,
    "neq": lambda order: order != 0,
    "lt": lambda order: order < 0,
    "lte": lambda order: order <= 0,
    "gt": lambda order: order > 0,
    "gte": lambda order: order >= 0,
}


@dataclass(frozen=True)
class Comparison:
    """Also a part of a filter."""

    field: str
    operator: str
    value: Any

    def holds(self, document: Document) -> bool:
        return HOLDS[self.operator](compare(field(document, self.field), self.value))

    def built(self, q: Any) -> Any:
        return getattr(q, self.operator)(q.field(self.field), self.value)


@dataclass(frozen=True)
class Joined:
    operator: str
    parts: tuple[Any, ...]

    def holds(self, document: Document) -> bool:
        results = [part.holds(document) for part in self.parts]
        return not results[0] if self.operator == "not_" else (all if self.operator == "and_" else any)(results)

    def built(self, q: Any) -> Any:
        return getattr(q, self.operator)(*[part.built(q) for part in self.parts])


@dataclass(frozen=True)
class Asked:
    """One query: the index, the range (in the order in which it is written), the order and the filters."""

    index: str
    range: tuple[Comparison, ...]
    descending: bool | None
    filters: tuple[Comparison | Joined, ...]

    def of(self, db: Any) -> Any:
        def built(q: Any) -> Any:
            for bound in self.range:
                q = getattr(q, bound.operator)(bound.field, bound.value)
            return q

        query = db.query("things").with_index(self.index, built if self.range else None)
        if self.descending is not None:
            query = query.order("desc" if self.descending else "asc")
        for part in self.filters:
            query = query.filter(part.built)
        return query

    def ranged(self, documents: list[Document]) -> list[Document]:
        """What the query scans, in its order."""

        def order(left: Document, right: Document) -> int:
            paths = (*INDEXES[self.index], "_id")
            return next((order for path in paths if (order := compare(field(left, path), field(right, path)))), 0)

        found = [each for each in documents if all(bound.holds(each) for bound in self.range)]
        return sorted(found, key=cmp_to_key(order), reverse=bool(self.descending))

    def answer(self, documents: list[Document]) -> list[Document]:
        return [each for each in self.ranged(documents) if all(part.holds(each) for part in self.filters)]


@st.composite
def ranges(draw: st.DrawFn, index: str, values: st.SearchStrategy[Any]) -> tuple[Comparison, ...]:
    """Equalities on some first fields and bounds on the next one, all of them in any order."""
    fields = INDEXES[index]
    equal = draw(st.integers(0, len(fields) - 1))
    bounds = [Comparison(name, "eq", draw(values)) for name in fields[:equal]]
    for operators in (["gt", "gte"], ["lt", "lte"]):
        if draw(st.booleans()):
            operator = draw(st.sampled_from(operators))
            bounds.append(Comparison(fields[equal], operator, draw(values)))
    return tuple(draw(st.permutations(bounds)))


filters = st.recursive(
    st.builds(Comparison, st.sampled_from(["a", "b.c", "b"]), st.sampled_from(list(HOLDS)), few_values),
    lambda inner: st.one_of(
        st.builds(Joined, st.sampled_from(["and_", "or_"]), st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Joined, st.just("not_"), st.tuples(inner)),
    ),
    max_leaves=4,
)


def queries(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Asked]:
    return st.sampled_from(list(INDEXES)).flatmap(
        lambda index: st.builds(
            Asked,
            st.just(index),
            ranges(index, values),
            st.sampled_from([None, False, True]),
            st.lists(filters, max_size=2).map(tuple),
        )
    )


def fields_of(pair: tuple[Any, Any]) -> Document:
    given = {"a": pair[0], "b": {"c": pair[1]} if pair[1] is not undefined else undefined}
    return {name: value for name, value in given.items() if value is not undefined}


def documents_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Document]]:
    return st.lists(st.tuples(values, values).map(fields_of), max_size=12)


class World:
    """One deployment for all examples of this module; each begins with an empty table."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.closing = AsyncExitStack()
        self.folder = folder

    async def open(self) -> None:
        modules = {"schema": SCHEMA, "m": MODULE}
        self.t: Deployment = await self.closing.enter_async_context(deployment(self.folder, modules))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def query(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return await self.t.runner.inline(Kind.QUERY, work, self.t.call_by())

    async def mutate(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return await self.t.runner.inline(Kind.MUTATION, work, self.t.call_by())

    async def fill(self, documents: list[Document]) -> None:
        async def work(ctx: Any) -> None:
            async for each in ctx.db.query("things"):
                await ctx.db.delete(each["_id"])
            for each in documents:
                await ctx.db.insert("things", each)

        await self.mutate(work)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    world.run(world.open())
    yield world
    world.run(world.closing.aclose())
    world.loop.close()


often = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def same(found: list[Document], expected: list[Document]) -> bool:
    return [each["_id"] for each in found] == [each["_id"] for each in expected]


@often
@given(documents_of(values), queries(values), st.integers(0, 5))
def test_every_end_of_a_query(world: World, documents: list[Document], asked: Asked, count: int) -> None:
    async def work(ctx: Any) -> None:
        stored = await ctx.db.query("things").collect()
        expected = asked.answer(stored)
        assert same(await asked.of(ctx.db).collect(), expected)
        assert same(await asked.of(ctx.db).take(count), expected[:count])
        first = await asked.of(ctx.db).first()
        assert same([first] if first else [], expected[:1])
        taken: list[Document] = []
        async for document in asked.of(ctx.db):
            taken.append(document)
            if len(taken) > count:
                break
        assert same(taken, expected[: count + 1])
        if len(expected) < 2:
            assert same([await asked.of(ctx.db).unique()] if expected else [], expected)

    async def test() -> None:
        await world.fill(documents)
        await world.query(work)

    world.run(test())


@often
@given(documents_of(values), queries(values), st.integers(1, 5), st.none() | st.integers(1, 5))
def test_pages_are_the_query_cut_into_pieces(
    world: World, documents: list[Document], asked: Asked, items: int, rows: int | None
) -> None:
    async def test() -> None:
        await world.fill(documents)
        stored = await world.query(lambda ctx: ctx.db.query("things").collect())
        cursor, done, found = None, False, list[Document]()
        while not done:
            options = {"numItems": items, "cursor": cursor, **({"maximumRowsRead": rows} if rows else {})}
            page = await world.query(lambda ctx, options=options: asked.of(ctx.db).paginate(options))
            found += page["page"]
            assert cursor != page["continueCursor"], "no page is read twice"
            cursor, done = page["continueCursor"], page["isDone"]
            assert len(page["page"]) <= items
            assert done or len(page["page"]) == items or page["pageStatus"] == "SplitRequired"
        assert same(found, asked.answer(stored))

    world.run(test())


changes = st.one_of(
    st.tuples(st.just("insert"), few_values, few_values),
    st.tuples(st.just("patch"), st.integers(0, 20), few_values, few_values),
    st.tuples(st.just("delete"), st.integers(0, 20)),
)
steps = st.one_of(
    st.tuples(st.just("change"), st.lists(changes, min_size=1, max_size=4)),
    st.tuples(st.just("more"), st.integers(1, 3)),
    st.tuples(st.just("split"), st.integers(0, 5)),
)


@dataclass
class LivePage:
    """What a client keeps of one page that it watches."""

    options: dict[str, Any]
    journal: str | None = None
    value: Any = None


@often
@given(documents_of(few_values), queries(few_values), st.lists(steps, max_size=8))
def test_live_pages_never_overlap_and_leave_no_gap(
    world: World, documents: list[Document], asked: Asked, script: list[Any]
) -> None:
    """All pages together, and what is behind the last of them, are always what the query gives."""

    world.run(_live(world, documents, asked, script))


async def _live(world: World, documents: list[Document], asked: Asked, script: list[Any]) -> None:
    await world.fill(documents)
    pages = [LivePage({"numItems": 2, "cursor": None})]
    steps: list[tuple[str, Any]] = [("change", []), *script]
    for name, operand in steps:
        if name == "more" and not pages[-1].value["isDone"]:
            pages.append(LivePage({"numItems": operand, "cursor": pages[-1].value["continueCursor"]}))
        if name == "split":
            _split(pages, operand)
        if name == "change":
            await world.mutate(partial(_change, changes=operand))
        for page in pages:
            await _rerun(world, asked, page)
        await _check_pages(world, asked, pages)


def _split(pages: list[LivePage], position: int) -> None:
    at = position % len(pages)
    whole = pages[at]
    middle, end = whole.value["splitCursor"], whole.value["continueCursor"]
    if middle is not None:
        pages[at : at + 1] = [
            LivePage({**whole.options, "endCursor": middle}),
            LivePage({**whole.options, "cursor": middle, "endCursor": end}),
        ]


async def _change(ctx: Any, changes: list[Any]) -> None:
    for name, *operands in changes:
        if name == "insert":
            await ctx.db.insert("things", fields_of((operands[0], operands[1])))
            continue
        stored = await ctx.db.query("things").collect()
        if not stored:
            continue
        chosen = stored[operands[0] % len(stored)]["_id"]
        if name == "delete":
            await ctx.db.delete(chosen)
        else:
            await ctx.db.patch(chosen, {"a": operands[1], "b": {"c": operands[2]}})


async def _rerun(world: World, asked: Asked, page: LivePage) -> None:
    world.t.versions.current.modules["m"].asked.append(asked)  # type: ignore[attr-defined]  # see MODULE
    args = {"options": page.options}
    outcome = await world.t.runner.call("m:page", args, world.t.call_by(), journal=page.journal)
    assert outcome.failure is None, outcome.failure.text
    page.value = outcome.value
    assert outcome.journal == page.value["continueCursor"]
    assert page.journal in (None, outcome.journal)
    page.journal = outcome.journal


async def _check_pages(world: World, asked: Asked, pages: list[LivePage]) -> None:
    stored = await world.query(lambda ctx: ctx.db.query("things").collect())
    found = [document for page in pages for document in page.value["page"]]
    rest = LivePage({"numItems": 1_000, "cursor": pages[-1].value["continueCursor"]})
    await _rerun(world, asked, rest)
    assert same(found + rest.value["page"], asked.answer(stored))
