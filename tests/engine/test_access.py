"""What a function read and wrote, as reports tell it: this is also what conflicts and live queries go by."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.database.access import AccessReport, Bound
from pyconvex.functions.function import Kind
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "messages": define_table({"author": v.string(), "n": v.optional(v.number()), "body": v.optional(v.string())})
        .index("by_author", ["author"])
        .index("by_author_and_n", ["author", "n"])
        .search_index("search_body", search_field="body"),
}, strict_table_name_types=False)
"""

MODULE = """
import time
from typing import Any

IDS = {}

@mutation
async def fill(ctx):
    for author, n in (("Ada", 1), ("Ada", 2), ("Ada", 3), ("Bob", 1), ("Cid", undefined)):
        message = {"author": author, "n": n, "body": f"a cat of {author}"}
        IDS[f"{author} {n}"] = await ctx.db.insert("messages", message)
    return IDS

def ada(q): return q.eq("author", "Ada")

READS = {
    "get": lambda db: db.get(IDS["Ada 1"]),
    "get twice": lambda db: twice(db),
    "a missing document": lambda db: db.get("j57000820c20a1g7104gm2rc1m70ynr8"),
    "everything": lambda db: db.query("messages").collect(),
    "one author": lambda db: db.query("messages").with_index("by_author", ada).collect(),
    "nobody": lambda db: db.query("messages").with_index("by_author", lambda q: q.eq("author", "Zoe")).collect(),
    "between": lambda db: db.query("messages")
        .with_index("by_author", lambda q: q.gt("author", "Ada").lte("author", "Cid")).collect(),
    "from": lambda db: db.query("messages").with_index("by_author", lambda q: q.gte("author", "B")).collect(),
    "before": lambda db: db.query("messages").with_index("by_author", lambda q: q.lt("author", "B")).collect(),
    "author and n": lambda db: db.query("messages")
        .with_index("by_author_and_n", lambda q: ada(q).gt("n", 1).lt("n", 3)).collect(),
    "present n": lambda db: db.query("messages")
        .with_index("by_author_and_n", lambda q: ada(q).gt("n", undefined)).collect(),
    "missing n": lambda db: db.query("messages")
        .with_index("by_author_and_n", lambda q: q.eq("author", "Cid").eq("n", undefined)).collect(),
    "times": lambda db: db.query("messages")
        .with_index("by_author", lambda q: ada(q).gt("_creationTime", 5.5)).collect(),
    "nothing": lambda db: db.query("messages")
        .with_index("by_author_and_n", lambda q: ada(q).gt("n", 3).lt("n", 1)).collect(),
    "take 0": lambda db: db.query("messages").take(0),
    "take 2": lambda db: db.query("messages").with_index("by_author", ada).take(2),
    "take 9": lambda db: db.query("messages").with_index("by_author", ada).take(9),
    "take 2 backwards": lambda db: db.query("messages").with_index("by_author_and_n", ada).order("desc").take(2),
    "first of all": lambda db: db.query("messages").with_index("by_author_and_n").first(),
    "unique": lambda db: db.query("messages").with_index("by_author", lambda q: q.eq("author", "Bob")).unique(),
    "a filter": lambda db: db.query("messages").filter(lambda q: q.eq(q.field("author"), "Bob")).collect(),
    "first of a filter": lambda db: db.query("messages").with_index("by_author_and_n")
        .filter(lambda q: q.eq(q.field("n"), 2)).first(),
    "iteration": lambda db: iterated(db, 2),
    "iteration to the end": lambda db: iterated(db, 9),
    "iteration that never began": lambda db: iterated(db, 0),
    "a page": lambda db: db.query("messages").with_index("by_author_and_n").paginate({"numItems": 2, "cursor": None}),
    "two pages": lambda db: second_page(db),
    "the rest": lambda db: db.query("messages").with_index("by_author_and_n").paginate({"numItems": 9, "cursor": None}),
    "an exact page backwards": lambda db: exact_page(db),
    "a page of a filter": lambda db: db.query("messages").with_index("by_author_and_n")
        .filter(lambda q: q.eq(q.field("author"), "Bob")).paginate({"numItems": 1, "cursor": None}),
    "a search": lambda db: db.query("messages")
        .with_search_index("search_body", lambda q: q.search("body", "dog ca")).take(2),
    "a page of a search": lambda db: db.query("messages")
        .with_search_index("search_body", lambda q: q.search("body", "ca")).paginate({"numItems": 3, "cursor": None}),
    "a table that is not there": lambda db: db.query("ghosts").collect(),
    "files": lambda db: db.system.query("_storage").collect(),
}

async def twice(db):
    await db.get(IDS["Ada 1"])
    await db.get(IDS["Ada 1"])

async def iterated(db, stop):
    if not stop:
        return db.query("messages").__aiter__()
    seen = 0
    async for message in db.query("messages").with_index("by_author_and_n", ada):
        seen += 1
        if seen == stop:
            break

PAGES = {}

@query
async def prepare(ctx, query: str, options: Any):
    q = ctx.db.query("messages").with_index("by_author_and_n")
    page = await (q.order("desc") if query == "desc" else q).paginate(options)
    PAGES[query, options["numItems"]] = page["continueCursor"]

def second_page(db):
    options = {"numItems": 2, "cursor": PAGES["asc", 2]}
    return db.query("messages").with_index("by_author_and_n").paginate(options)

def exact_page(db):
    options = {"numItems": 1, "cursor": PAGES["desc", 1], "endCursor": PAGES["desc", 3]}
    return db.query("messages").with_index("by_author_and_n").order("desc").paginate(options)

@query
async def read(ctx, what: str):
    await READS[what](ctx.db)

@mutation
async def write(ctx, fail: bool = False):
    id = await ctx.db.insert("messages", {"author": "Dan", "body": "x" * 100})
    await ctx.db.patch(IDS["Ada 1"], {"n": 5})
    await ctx.db.replace(IDS["Ada 2"], {"author": "Ada"})
    await ctx.db.delete(IDS["Bob 1"])
    try:
        await ctx.run_mutation(api.m.write_and_fail)
    except ValueError:
        pass
    if fail:
        raise ValueError("no")
    return id

@mutation
async def write_and_fail(ctx):
    await ctx.db.insert("messages", {"author": "Eve"})
    await ctx.db.get(IDS["Cid undefined"])
    raise ValueError("no")

@query
async def surroundings(ctx):
    return [await ctx.run_query(api.m.names), os.environ.get("OTHER")]

@query
async def names(ctx):
    return [time.time() > 0, os.environ.get("NAME")]

@action
async def several(ctx):
    os.environ.get("NAME")
    await ctx.run_query(api.m.read, what="get")
    await ctx.run_mutation(api.m.write)
    await ctx.run_action(api.m.nothing)
    return 5

@action
async def nothing(ctx):
    pass
"""
MODULES = {"schema": SCHEMA, "m": MODULE}


def check(tmp_path: Path, test: Callable[[Deployment, dict[str, str]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with deployment(tmp_path, MODULES) as t:
            ids = await t.value("fill")
            for order, items in (("asc", 2), ("desc", 1), ("desc", 3)):
                await t.value("prepare", query=order, options={"numItems": items, "cursor": None})
            await test(t, ids)

    asyncio.run(run())


async def report(t: Deployment, name: str, **args: Any) -> AccessReport:
    outcome = await t.runner.call(f"m:{name}", args, t.call_by(), observed=True)
    assert outcome.access is not None
    return outcome.access


async def stored(t: Deployment) -> Any:
    return await t.runner.inline(Kind.QUERY, lambda ctx: ctx.db.query("messages").collect(), t.call_by())


N, BY = "by_author_and_n", "by_author"
READS: dict[str, list[tuple[str, str, int]]] = {
    "get": [("by_id", '_id = "$Ada 1"', 1)],
    "get twice": [("by_id", '_id = "$Ada 1"', 2)],
    "a missing document": [("by_id", '_id = "j57000820c20a1g7104gm2rc1m70ynr8"', 0)],
    "everything": [("by_creation_time", "everything", 5)],
    "one author": [(BY, 'author = "Ada"', 3)],
    "nobody": [(BY, 'author = "Zoe"', 0)],
    "between": [(BY, 'author > "Ada", author ≤ "Cid"', 2)],
    "from": [(BY, 'author ≥ "B"', 2)],
    "before": [(BY, 'author < "B"', 3)],
    "author and n": [(N, 'author = "Ada", n > 1, n < 3', 1)],
    "present n": [(N, 'author = "Ada", n > undefined', 3)],
    "missing n": [(N, 'author = "Cid", n = undefined', 1)],
    "times": [(BY, 'author = "Ada", _creationTime > 5.5', 3)],
    "nothing": [],
    "take 0": [],
    "take 2": [(BY, 'author = "Ada", _creationTime ≤ @Ada 2', 2)],
    "take 9": [(BY, 'author = "Ada"', 3)],
    "take 2 backwards": [(N, 'author = "Ada", (n, _creationTime) ≥ (2, @Ada 2)', 2)],
    "first of all": [(N, '(author, n, _creationTime) ≤ ("Ada", 1, @Ada 1)', 1)],
    "unique": [(BY, 'author = "Bob"', 1)],
    "a filter": [("by_creation_time", "everything", 5)],
    "first of a filter": [(N, '(author, n, _creationTime) ≤ ("Ada", 2, @Ada 2)', 2)],
    "iteration": [(N, 'author = "Ada", (n, _creationTime) ≤ (2, @Ada 2)', 2)],
    "iteration to the end": [(N, 'author = "Ada"', 3)],
    "iteration that never began": [],
    "a page": [(N, '(author, n, _creationTime) ≤ ("Ada", 2, @Ada 2)', 2)],
    "two pages": [(N, (
        '(author, n, _creationTime) > ("Ada", 2, @Ada 2), (author, n, _creationTime) ≤ ("Bob", 1, @Bob 1)'
    ), 2)],
    "the rest": [(N, "everything", 5)],
    "an exact page backwards": [(N, (
        '(author, n, _creationTime) ≥ ("Ada", 3, @Ada 3), '
        '(author, n, _creationTime) < ("Cid", undefined, @Cid undefined)'
    ), 2)],
    "a page of a filter": [(N, '(author, n, _creationTime) ≤ ("Bob", 1, @Bob 1)', 4)],
    "a search": [("search_body", 'word = "dog"', 0), ("search_body", 'word begins with "ca"', 2)],
    "a page of a search": [("search_body", 'word begins with "ca"', 3)],
    "a table that is not there": [("by_creation_time", "everything", 0)],
    "files": [("by_creation_time", "everything", 0)],
}  # fmt: skip


@pytest.mark.parametrize("what", READS)
def test_the_ranges_of_every_way_of_reading(tmp_path: Path, what: str) -> None:
    """`$Ada 1` stands for the id of that document, `@Ada 1` for its creation time."""

    async def test(t: Deployment, ids: dict[str, str]) -> None:
        expected: list[tuple[str, str, int]] = []
        documents = {each["_id"]: each for each in await stored(t)}
        for index, text, count in READS[what]:
            for name, each in ids.items():
                text = text.replace(f"${name}", each).replace(f"@{name}", f"{documents[each]['_creationTime']}")
            expected.append((index, text, count))
        found = await report(t, "read", what=what)
        assert [(each.index, each.text, each.documents) for each in found.reads] == expected
        for each in found.reads:
            tables = {"a table that is not there": "_tables", "files": "_storage"}
            assert each.table == tables.get(what, "messages")
            assert (each.bytes > 0) == (each.documents > 0)

    check(tmp_path, test)


def test_equal_ranges_are_told_once(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        [read] = (await report(t, "read", what="get twice")).reads
        assert (read.times, read.documents, read.bytes) == (2, 2, 2 * 105)
        assert read.equal == {"_id": ids["Ada 1"]}
        assert read.lower is None

    check(tmp_path, test)


def test_bounds_as_data(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        [read] = (await report(t, "read", what="author and n")).reads
        assert read.equal == {"author": "Ada"}
        assert read.lower == Bound(("n",), (1.0,), inclusive=False)
        assert read.upper == Bound(("n",), (3.0,), inclusive=False)

    check(tmp_path, test)


def test_writes_and_what_they_imply(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        found = await report(t, "write")
        assert [(each.operation, each.table, each.id) for each in found.writes] == [
            ("insert", "messages", found.value),
            ("patch", "messages", ids["Ada 1"]),
            ("replace", "messages", ids["Ada 2"]),
            ("delete", "messages", ids["Bob 1"]),
        ]
        assert [each.bytes for each in found.writes] == [182, 105, 75, 0]
        read = [each.equal["_id"] for each in found.reads]
        assert read == [ids["Ada 1"], ids["Ada 2"], ids["Bob 1"], ids["Cid undefined"]]
        used = {each.name: each.used for each in found.limits}
        assert used["documents written"] == 4
        assert used["bytes written"] == sum(each.bytes for each in found.writes)
        assert used["documents read"] == 4
        assert used["ranges read"] == 4
        assert used["bytes read"] == sum(each.bytes for each in found.reads)
        assert 0 < used["user code"] < 1
        assert all(0 <= each.share < 1 for each in found.limits)

    check(tmp_path, test)


def test_a_failed_function_is_reported_too(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        outcome = await t.runner.call("m:write", {"fail": True}, t.call_by(), observed=True)
        assert outcome.failure is not None
        assert outcome.access is not None
        assert len(outcome.access.writes) == 4
        refused = await t.runner.call("m:write", {"fail": 5}, t.call_by(), observed=True)
        assert refused.access is None

    check(tmp_path, test)


def test_what_else_a_result_depends_on(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        found = await report(t, "surroundings")
        assert found.variables == ("NAME", "OTHER")
        assert found.time_read
        other = await report(t, "read", what="get")
        assert other.variables == ()
        assert not other.time_read

    check(tmp_path, test)


def test_actions_are_reported_by_what_they_ran(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        found = await report(t, "several")
        assert (found.function, found.kind, found.value) == ("m:several", "action", 5)
        assert found.variables == ("NAME",)
        assert [(each.function, each.kind) for each in found.calls] == [
            ("m:read", "query"),
            ("m:write", "mutation"),
            ("m:nothing", "action"),
        ]
        assert len(found.calls[0].reads) == 1
        assert len(found.calls[1].writes) == 4

    check(tmp_path, test)


def test_reports_are_made_on_demand_only(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        assert (await t.call("read", what="get")).access is None
        assert (await t.call("several")).access is None

    check(tmp_path, test)


def test_reports_as_json(tmp_path: Path) -> None:
    async def test(t: Deployment, ids: dict[str, str]) -> None:
        found = json.loads(json.dumps((await report(t, "several")).to_json()))
        assert found["calls"][0]["reads"][0]["equal"] == {"_id": ids["Ada 1"]}
        missing = (await report(t, "read", what="present n")).to_json()
        assert missing["reads"][0]["lower"] == {"fields": ["n"], "values": [{"$undefined": None}], "inclusive": False}
        assert missing["reads"][0]["range"] == 'author = "Ada", n > undefined'

    check(tmp_path, test)
