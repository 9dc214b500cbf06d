"""`ctx.db.table(name)`, system tables, arguments that are missing, and indexes that cannot be read yet."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "people": define_table({"name": v.string(), "age": v.optional(v.number())})
        .index("by_name", ["name"])
        .index("staged", ["age"], staged=True),
    "pets": define_table({"name": v.string()}),
})
"""

MODULE = """
from typing import Any

@mutation
async def add(ctx, table: str, name: str):
    return await ctx.db.insert(table, {"name": name})

@mutation
async def with_table(ctx, id: str, other: str):
    people = ctx.db.table("people")
    new = await people.insert({"name": "Bob"})
    await people.patch(id, {"name": "Ida"})
    await people.replace(new, {"name": "Rob"})
    names = [each["name"] for each in await people.query().with_index("by_name").order("desc").collect()]
    normal = [people.normalize_id(id), people.normalize_id(other), people.normalize_id("nope")]
    await people.delete(new)
    return [names, (await people.get(id))["name"], await people.get(new), normal]

CALLS = {
    "get": lambda db: db.get(),
    "get undefined": lambda db: db.get(undefined),
    "get of a table": lambda db: db.get("people", undefined),
    "insert": lambda db: db.insert(),
    "insert without value": lambda db: db.insert("people"),
    "insert undefined": lambda db: db.insert("people", undefined),
    "patch": lambda db: db.patch(),
    "patch without value": lambda db: db.patch("x"),
    "patch undefined": lambda db: db.patch(undefined, {}),
    "patch of a table": lambda db: db.patch("people", "x", undefined),
    "patch of too much": lambda db: db.patch("people", "x", {}, {}),
    "replace": lambda db: db.replace(),
    "replace without value": lambda db: db.replace("x"),
    "delete": lambda db: db.delete(),
    "query": lambda db: db.query(),
    "normalize_id": lambda db: db.normalize_id(),
    "normalize_id without id": lambda db: db.normalize_id("people"),
    "system get": lambda db: db.system.get(),
    "system query": lambda db: db.system.query(),
    "system normalize_id": lambda db: db.system.normalize_id(),
    "table": lambda db: db.table("people").get(),
    "table patch": lambda db: db.table("people").patch("x"),
    "table insert": lambda db: db.table("people").insert(),
    "table delete": lambda db: db.table("people").delete(),
    "a table of no text": lambda db: db.query(5),
    "normalize of no text": lambda db: db.normalize_id(5, "x"),
    "insert into no text": lambda db: db.insert(None, {}),
    "a system table": lambda db: db.table("_storage"),
    "a user's table": lambda db: db.system.table("people"),
    "a user's table to normalize": lambda db: db.system.normalize_id("people", "x"),
    "a staged index": lambda db: db.query("people").with_index("staged").collect(),
    "too many filters": lambda db: filtered(db, 257).collect(),
}

def filtered(db, times):
    q = db.query("people")
    for _ in range(times):
        q = q.filter(lambda q: q.eq(1, 1))
    return q

@mutation
async def call(ctx, what: str):
    await CALLS[what](ctx.db)

@query
async def many_filters(ctx):
    return len(await filtered(ctx.db, 256).collect())

@mutation
async def of_another_table(ctx, id: str, what: str):
    return await getattr(ctx.db.table("people"), what)(id, *([{}] if what in ("patch", "replace") else []))

@action
async def store(ctx):
    files = (("a", "text/plain"), ("bc", "image/png"))
    return [await ctx.storage.store(Blob([text], type=type)) for text, type in files]

@query
async def files(ctx, id: str):
    db = ctx.db.system
    table = db.table("_storage")
    found = await db.query("_storage").with_index("by_creation_time").order("desc").collect()
    return {
        "fields": sorted(found[0]),
        "sizes": [each["size"] for each in found],
        "filtered": len(await db.query("_storage").filter(lambda q: q.eq(q.field("size"), 2)).collect()),
        "by id": len(await db.query("_storage").with_index("by_id", lambda q: q.eq("_id", id)).collect()),
        "got": [await db.get(id) == await db.get("_storage", id) == await table.get(id) == found[1]],
        "iterated": [each["size"] async for each in table.query()],
        "normal": [
            db.normalize_id("_storage", id), table.normalize_id(id), db.normalize_id("_scheduled_functions", id),
        ],
        "private": db.normalize_id("_tables", id),
    }

@query
async def page_of_files(ctx, cursor: Any):
    return await ctx.db.system.query("_storage").paginate({"numItems": 1, "cursor": cursor})

@query
async def missing(ctx, name: str):
    return hasattr(ctx.db.system, name)
"""
MODULES = {"schema": SCHEMA, "m": MODULE}


def check(tmp_path: Path, test: Callable[[Deployment], Awaitable[None]]) -> None:
    async def run() -> None:
        async with deployment(tmp_path, MODULES) as t:
            await test(t)

    asyncio.run(run())


def test_methods_of_one_table(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        ada, pet = await t.value("add", table="people", name="Ada"), await t.value("add", table="pets", name="Rex")
        names, patched, deleted, normal = await t.value("with_table", id=ada, other=pet)
        assert (names, patched, deleted, normal) == (["Rob", "Ida"], "Ida", None, [ada, None, None])
        for what in ("get", "patch", "replace", "delete"):
            assert (await t.error("of_another_table", id=pet, what=what)).endswith(
                f'Invalid argument `id` for `db.{what}`: expected to be an Id<"people">, got Id<"pets"> instead.'
            )

    check(tmp_path, test)


ONLY_SYSTEM = "Uncaught Error: System tables can only be accessed with db.system."
REFUSED: dict[str, str] = {
    "get": "Uncaught TypeError: Must provide arg 1 `id` to `get`",
    "get undefined": "Uncaught TypeError: Must provide arg 1 `id` to `get`",
    "get of a table": "Uncaught TypeError: Must provide arg 2 `id` to `get`",
    "insert": "Uncaught TypeError: Must provide arg 1 `table` to `insert`",
    "insert without value": "Uncaught TypeError: Must provide arg 2 `value` to `insert`",
    "insert undefined": "Uncaught TypeError: Must provide arg 2 `value` to `insert`",
    "patch": "Uncaught TypeError: Must provide arg 1 `id` to `patch`",
    "patch without value": "Uncaught TypeError: Must provide arg 2 `value` to `patch`",
    "patch undefined": "Uncaught TypeError: Must provide arg 1 `id` to `patch`",
    "patch of a table": "Uncaught TypeError: Must provide arg 3 `value` to `patch`",
    "patch of too much": (
        "Uncaught TypeError: db.patch() takes an id and a value, or a table, an id and a value; 4 were given"
    ),
    "replace": "Uncaught TypeError: Must provide arg 1 `id` to `replace`",
    "replace without value": "Uncaught TypeError: Must provide arg 2 `value` to `replace`",
    "delete": "Uncaught TypeError: Must provide arg 1 `id` to `delete`",
    "query": "Uncaught TypeError: Must provide arg 1 `table` to `query`",
    "normalize_id": "Uncaught TypeError: Must provide arg 1 `table` to `normalize_id`",
    "normalize_id without id": "Uncaught TypeError: Must provide arg 2 `id` to `normalize_id`",
    "system get": "Uncaught TypeError: Must provide arg 1 `id` to `get`",
    "system query": "Uncaught TypeError: Must provide arg 1 `table` to `query`",
    "system normalize_id": "Uncaught TypeError: Must provide arg 1 `table` to `normalize_id`",
    "table": "Uncaught TypeError: Must provide arg 1 `id` to `get`",
    "table patch": "Uncaught TypeError: Must provide arg 2 `value` to `patch`",
    "table insert": "Uncaught TypeError: Must provide arg 2 `value` to `insert`",
    "table delete": "Uncaught TypeError: Must provide arg 1 `id` to `delete`",
    "a table of no text": ("Uncaught Error: Invalid argument `table` for `db.query`, expected string but got 'int': 5"),
    "normalize of no text": (
        "Uncaught Error: Invalid argument `table` for `db.normalize_id`, expected string but got 'int': 5"
    ),
    "insert into no text": (
        "Uncaught Error: Invalid argument `table` for `db.insert`, expected string but got 'NoneType': None"
    ),
    "a system table": ONLY_SYSTEM,
    "a user's table": "Uncaught Error: User tables can only be accessed from db.query().",
    "a user's table to normalize": "Uncaught Error: User tables cannot be accessed with db.system.",
    "a staged index": (
        "Uncaught Error: Index people.staged is currently staged and not available to query until it is enabled."
    ),
    "too many filters": "Uncaught Error: A query has at most 256 operators.",
}


@pytest.mark.parametrize("what", REFUSED)
def test_calls_that_cannot_be(tmp_path: Path, what: str) -> None:
    async def test(t: Deployment) -> None:
        assert (await t.error("call", what=what)).splitlines()[0] == REFUSED[what]

    check(tmp_path, test)


def test_as_many_filters_as_may_be(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        await t.value("add", table="people", name="Ada")
        assert await t.value("many_filters") == 1

    check(tmp_path, test)


def test_system_tables_are_read_like_others(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        first, second = await t.value("store")
        found: Any = await t.value("files", id=first)
        assert found == {
            "fields": ["_creationTime", "_id", "contentType", "sha256", "size"],
            "sizes": [2, 1],
            "filtered": 1,
            "by id": 1,
            "got": [True],
            "iterated": [1, 2],
            "normal": [first, first, None],
            "private": None,
        }
        pages = [await t.value("page_of_files", cursor=None)]
        pages.append(await t.value("page_of_files", cursor=pages[0]["continueCursor"]))
        assert [each["page"][0]["_id"] for each in pages] == [first, second]
        assert sorted(pages[0]["page"][0]) == found["fields"]

    check(tmp_path, test)


@pytest.mark.parametrize("name", ["insert", "patch", "replace", "delete"])
def test_system_tables_are_not_written(tmp_path: Path, name: str) -> None:
    async def test(t: Deployment) -> None:
        assert await t.value("missing", name=name) is False

    check(tmp_path, test)
