"""Which mutations come into conflict, read by read: https://docs.convex.dev/database/advanced/occ

A mutation is held up between its reads and its end, another one commits meanwhile, and the first one runs again if, and
only if, that one changed something that it had read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pyconvex.store.transaction import Transaction
from support.deployment import Deployment, deployment
from support.stores import Database, database_of

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "rows": define_table({"a": v.any(), "text": v.optional(v.string()), "n": v.optional(v.number())})
        .index("by_a", ["a"])
        .search_index("by_text", search_field="text", filter_fields=["a"]),
    "marks": define_table(v.any()),
})
"""
MODULE = """
def rows(ctx):
    return ctx.db.query("rows")

def by_a(ctx, range=None):
    return rows(ctx).with_index("by_a", range)

async def iterated(ctx):
    async for row in by_a(ctx):
        return row

async def caught(ctx):
    try:
        await ctx.run_mutation("m:fails")
    except ValueError:
        pass

READS = {
    "nothing": lambda ctx, id: rows(ctx).take(0),
    "one document": lambda ctx, id: ctx.db.get(id["5"]),
    "a document that is gone": lambda ctx, id: ctx.db.get(id["gone"]),
    "all": lambda ctx, id: rows(ctx).collect(),
    "all of a filter": lambda ctx, id: rows(ctx).filter(lambda q: q.eq(q.field("a"), 5)).collect(),
    "the first": lambda ctx, id: by_a(ctx).first(),
    "the last": lambda ctx, id: by_a(ctx).order("desc").first(),
    "the first two": lambda ctx, id: by_a(ctx).take(2),
    "one iterated": lambda ctx, id: iterated(ctx),
    "an interval": lambda ctx, id: by_a(ctx, lambda q: q.gte("a", 3).lt("a", 6)).collect(),
    "an empty interval": lambda ctx, id: by_a(ctx, lambda q: q.gt("a", 3).lt("a", 5)).collect(),
    "a page": lambda ctx, id: by_a(ctx).paginate({"numItems": 2, "cursor": None}),
    "unique": lambda ctx, id: by_a(ctx, lambda q: q.eq("a", 5)).unique(),
    "a word": lambda ctx, id: rows(ctx).with_search_index("by_text", lambda q: q.search("text", "cat x")).take(9),
    "a written document": lambda ctx, id: ctx.db.patch(id["5"], {"n": 7}),
    "a failed call": lambda ctx, id: caught(ctx),
    "a nested query": lambda ctx, id: ctx.run_query("m:reads_five", id=id["5"]),
}
WRITES = {
    "add 4": lambda ctx, id: ctx.db.insert("rows", {"a": 4}),
    "add 0": lambda ctx, id: ctx.db.insert("rows", {"a": 0}),
    "add 9": lambda ctx, id: ctx.db.insert("rows", {"a": 9}),
    "add a cat": lambda ctx, id: ctx.db.insert("rows", {"a": 9, "text": "a cat"}),
    "add a dog": lambda ctx, id: ctx.db.insert("rows", {"a": 9, "text": "a dog"}),
    "5 becomes 4": lambda ctx, id: ctx.db.patch(id["5"], {"a": 4}),
    "5 becomes 8": lambda ctx, id: ctx.db.patch(id["5"], {"a": 8}),
    "7 becomes 5": lambda ctx, id: ctx.db.patch(id["7"], {"a": 5}),
    "another field of 5": lambda ctx, id: ctx.db.patch(id["5"], {"n": 1}),
    "another field of 7": lambda ctx, id: ctx.db.patch(id["7"], {"n": 1}),
    "delete 5": lambda ctx, id: ctx.db.delete(id["5"]),
    "delete 1": lambda ctx, id: ctx.db.delete(id["1"]),
    "5 as it was": lambda ctx, id: ctx.db.patch(id["5"], {"a": 5}),
    "another table": lambda ctx, id: ctx.db.insert("marks", {}),
    "the word of 7": lambda ctx, id: ctx.db.patch(id["7"], {"text": "a bird"}),
}

@mutation
async def prepare(ctx):
    for row in await rows(ctx).collect():
        await ctx.db.delete(row["_id"])
    ids = {str(a): await ctx.db.insert("rows", {"a": a}) for a in (1, 3, 5)}
    ids["7"] = await ctx.db.insert("rows", {"a": 7, "text": "the cat"})
    ids["gone"] = await ctx.db.insert("rows", {"a": 6})
    return ids

@mutation
async def remove(ctx, id: str):
    await ctx.db.delete(id)

@internal_query
async def reads_five(ctx, id: str):
    await ctx.db.get(id)

@internal_mutation
async def fails(ctx):
    await by_a(ctx).collect()
    raise ValueError

@mutation
async def read(ctx, what: str, ids: dict[str, str]):
    try:
        await READS[what](ctx, ids)
    except Exception:
        pass  # the second time, when what was read is gone or is there twice
    await ctx.db.insert("marks", {})

@mutation
async def write(ctx, what: str, ids: dict[str, str]):
    await WRITES[what](ctx, ids)
"""
WRITES = re.findall(r'^    "(.*?)": ', MODULE.partition("WRITES = {")[2].partition("\n}")[0], re.MULTILINE)
OF_ROWS = {*WRITES} - {"5 as it was", "another table"}
OF_FIVE = {"5 becomes 4", "5 becomes 8", "another field of 5", "delete 5"}
CONFLICTS: dict[str, set[str]] = {
    "nothing": set(),
    "one document": OF_FIVE,
    "a document that is gone": set(),
    "all": OF_ROWS,
    "all of a filter": OF_ROWS,
    "the first": {"add 0", "delete 1"},
    "the last": {"7 becomes 5", "another field of 7", "the word of 7"}
    | {"add 9", "add a cat", "add a dog", "5 becomes 8"},
    "the first two": {"add 0", "delete 1"},
    "one iterated": {"add 0", "delete 1"},
    "an interval": {"add 4", "7 becomes 5"} | OF_FIVE,
    "an empty interval": {"add 4", "5 becomes 4"},
    "a page": {"add 0", "delete 1"},
    "unique": {"7 becomes 5"} | OF_FIVE,
    "a word": {"add a cat", "the word of 7", "7 becomes 5", "another field of 7"},
    "a written document": OF_FIVE,
    "a failed call": OF_ROWS,
    "a nested query": OF_FIVE,
}


class TwoNodes:
    """A database on which two nodes run the same functions."""

    def __init__(self, root: Path, database: Database) -> None:
        self._runner = asyncio.Runner()
        self._closing = AsyncExitStack()
        self.own, self.other = (self._runner.run(self._opened(root / name, database)) for name in ("own", "other"))
        self._mutate = self.own.store.mutate

    def attempts(self, read: str, write: str) -> int:
        """How often the mutation has to run that does `read`, when the other node does `write` before it commits."""
        return self._runner.run(self._attempts(read, write))

    def close(self) -> None:
        self._runner.run(self._closing.aclose())
        self._runner.close()

    async def _opened(self, root: Path, database: Database) -> Deployment:
        modules = {"schema": SCHEMA, "m": MODULE}
        return await self._closing.enter_async_context(deployment(root, modules, persistence=database.persistence()))

    async def _attempts(self, read: str, write: str) -> int:
        ids = await self.own.value("prepare")
        await self.own.value("remove", id=ids["gone"])
        attempts = 0

        async def held_up(work: Callable[[Transaction], Awaitable[Any]], **options: Any) -> Any:
            async def then_the_other(transaction: Transaction) -> Any:
                nonlocal attempts
                attempts += 1
                value = await work(transaction)
                if attempts == 1:
                    await self.other.value("write", what=write, ids=ids)
                return value

            return await self._mutate(then_the_other, **options)

        self.own.store.mutate = held_up
        try:
            await self.own.value("read", what=read, ids=ids)
        finally:
            self.own.store.mutate = self._mutate
        return attempts


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Generator[TwoNodes]:
    root = tmp_path_factory.mktemp("conflicts")
    with database_of("postgres", root) as database:
        nodes = TwoNodes(root, database)
        nodes.attempts("nothing", "another table")  # which creates it
        yield nodes
        nodes.close()


@pytest.mark.parametrize("read", CONFLICTS)
def test_what_a_read_comes_into_conflict_with(two_nodes: TwoNodes, read: str) -> None:
    attempts = {write: two_nodes.attempts(read, write) for write in WRITES}
    assert attempts == {write: 2 if write in CONFLICTS[read] else 1 for write in WRITES}
