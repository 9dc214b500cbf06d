"""`with_search_index` and `ctx.vector_search` as functions see them: results, pages, and what is refused."""

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
    "messages": define_table({
        "body": v.string(),
        "channel": v.optional(v.union(v.string(), v.null())),
        "n": v.number(),
        "at": v.optional(v.object({"place": v.string()})),
        "vector": v.optional(v.array(v.float64())),
    })
        .index("by_channel", ["channel"])
        .search_index("search_body", search_field="body", filter_fields=["channel", "at.place"])
        .search_index("later", search_field="body", staged=True)
        .vector_index("by_vector", vector_field="vector", dimensions=3, filter_fields=["channel"])
        .vector_index("later_vector", vector_field="vector", dimensions=3, staged=True),
})
"""

MESSAGES = """
from typing import Any

@mutation
async def add(ctx, messages: list[dict[str, Any]]):
    return [await ctx.db.insert("messages", {"n": n, **message}) for n, message in enumerate(messages)]

def searched(ctx, text: str = "cat"):
    return ctx.db.query("messages").with_search_index("search_body", lambda q: q.search("body", text))

ENDS = {
    "collect": lambda q: q.collect(),
    "take": lambda q: q.take(2),
    "take 0": lambda q: q.take(0),
    "first": lambda q: q.first(),
    "unique": lambda q: q.unique(),
    "filter": lambda q: q.filter(lambda q: q.lt(q.field("n"), 2)).collect(),
    "two filters": lambda q: q.filter(lambda q: q.lt(q.field("n"), 2)).filter(lambda q: q.gt(q.field("n"), 0)).first(),
    "order": lambda q: q.order("desc").collect(),
    "order after a filter": lambda q: q.filter(lambda q: True).order("desc"),
}

def shown(found):
    if isinstance(found, list):
        return [message["n"] for message in found]
    return found and found["n"]

@query
async def ended(ctx, end: str, text: str = "cat"):
    return shown(await ENDS[end](searched(ctx, text)))

@query
async def iterated(ctx, stop: int):
    found = []
    async for message in searched(ctx):
        found.append(message["n"])
        if len(found) == stop:
            break
    return found

@query
async def page(ctx, opts: Any, text: str = "cat"):
    return await searched(ctx, text).paginate(opts)

@mutation
async def write_and_search(ctx):
    id = await ctx.db.insert("messages", {"n": 100, "body": "cat"})
    before = shown(await searched(ctx).collect())
    await ctx.db.patch(id, {"body": "dog"})
    return [before, shown(await searched(ctx).collect()), shown(await searched(ctx, "dog").collect())]

SEARCHES = {
    "eq": lambda q: q.search("body", "cat").eq("channel", "a"),
    "eq null": lambda q: q.search("body", "cat").eq("channel", None),
    "eq missing": lambda q: q.search("body", "cat").eq("channel", undefined),
    "eq nested": lambda q: q.search("body", "cat").eq("at.place", "Paris"),
    "eq before": lambda q: q.eq("channel", "a").search("body", "cat"),
    "eq twice": lambda q: q.search("body", "cat").eq("channel", "a").eq("channel", "b"),
    "no terms": lambda q: q.search("body", " ...!"),
    "no search": lambda q: q.eq("channel", "a"),
    "nothing": lambda q: q,
    "two searches": lambda q: q.search("body", "a").search("body", "b"),
    "another field": lambda q: q.search("channel", "cat"),
    "another filter": lambda q: q.search("body", "cat").eq("n", 1),
    "no text": lambda q: q.search("body", 5),
    "no builder": lambda q: None,
    "used twice": lambda q: (q.search("body", "a"), q.search("body", "b"))[1],
}

def nine_filters(q):
    q = q.search("body", "cat")
    for _ in range(9):
        q = q.eq("channel", "a")
    return q

SEARCHES["nine filters"] = nine_filters

@query
async def search(ctx, how: str, index: str = "search_body", table: str = "messages"):
    return shown(await ctx.db.query(table).with_search_index(index, SEARCHES[how]).collect())

@query
async def with_index(ctx, index: str):
    return shown(await ctx.db.query("messages").with_index(index).collect())

FILTERS = {
    "eq": lambda q: q.eq("channel", "a"),
    "or": lambda q: q.or_(q.eq("channel", "a"), q.eq("channel", None)),
    "missing": lambda q: q.eq("channel", undefined),
    "another": lambda q: q.eq("n", 1),
    "no field": lambda q: q.eq(5, 1),
    "no filter": lambda q: True,
    "or of nothing": lambda q: q.or_(),
    "or of texts": lambda q: q.or_("a"),
    "64": lambda q: q.or_(*(q.eq("channel", "a") for _ in range(64))),
    "65": lambda q: q.or_(*(q.eq("channel", "a") for _ in range(65))),
}

@internal_query
async def load(ctx, id: str):
    return await ctx.db.get(id)

@action
async def nearest(ctx, vector: Any = [1.0, 0.0, 0.0], filter: str | None = None, index: str = "by_vector", **more: Any):
    found = await ctx.vector_search("messages", index, vector=vector, filter=filter and FILTERS[filter], **more)
    return [[(await ctx.run_query(internal.m.load, id=one["_id"]))["n"], round(one["_score"], 3)] for one in found]

class Numbers:
    def __iter__(self):
        return iter((0, 1, 0))

@action
async def nearest_to_a_librarys_vector(ctx):
    return len(await ctx.vector_search("messages", "by_vector", vector=Numbers()))

@query
async def in_a_query(ctx):
    await ctx.vector_search("messages", "by_vector", vector=[1.0, 0.0, 0.0])

@mutation
async def in_a_mutation(ctx):
    await ctx.vector_search("messages", "by_vector", vector=[1.0, 0.0, 0.0])
"""

MODULES = {"schema": SCHEMA, "m": MESSAGES}
CATS: list[dict[str, Any]] = [
    {"body": "a cat and a dog", "channel": "a"},
    {"body": "the cats", "channel": "b", "at": {"place": "Paris"}},
    {"body": "cat cat", "channel": None},
    {"body": "cat"},
    {"body": "dogs"},
]
VECTORS: list[dict[str, Any]] = [
    {"body": "", "vector": [1.0, 0.0, 0.0], "channel": "a"},
    {"body": "", "vector": [1.0, 1.0, 0.0], "channel": None},
    {"body": "", "vector": [0.0, 0.0, -2.0], "channel": "b"},
    {"body": "", "vector": [-3.0, 0.0, 0.0]},
    {"body": "", "vector": [1.0, 2.0]},
    {"body": ""},
]


def with_messages(
    tmp_path: Path, messages: list[dict[str, Any]], test: Callable[[Deployment], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with deployment(tmp_path, MODULES) as t:
            await t.value("add", messages=messages)
            await test(t)

    asyncio.run(run())


def check(tmp_path: Path, messages: list[dict[str, Any]], name: str, expected: Any, **args: Any) -> None:
    """Calls `name`; `expected` is its value, or as a text its error's first line."""

    async def test(t: Deployment) -> None:
        outcome = await t.call(name, **args)
        if outcome.failure is None:
            assert outcome.value == expected
        else:
            assert outcome.failure.message.partition("\n")[0].partition(": ")[2] == expected, outcome.failure.text

    with_messages(tmp_path, messages, test)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("collect", [2, 3, 0, 1]),
        ("take", [2, 3]),
        ("take 0", []),
        ("first", 2),
        ("filter", [0, 1]),
        ("two filters", 1),
        ("order", "Search queries must always be in relevance order. Can not set order manually."),
        ("order after a filter", "Search queries must always be in relevance order. Can not set order manually."),
    ],
)
def test_ends(tmp_path: Path, end: str, expected: Any) -> None:
    check(tmp_path, CATS, "ended", expected, end=end)


def test_unique(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        assert await t.value("ended", end="unique", text="the") == 1
        assert await t.value("ended", end="unique", text="bird") is None
        assert "unique() query returned more than one result from table messages" in await t.error(
            "ended", end="unique"
        )

    with_messages(tmp_path, CATS, test)


def test_iteration_stops_early(tmp_path: Path) -> None:
    check(tmp_path, CATS, "iterated", [2, 3, 0], stop=3)


def test_a_mutation_finds_its_own_writes(tmp_path: Path) -> None:
    check(
        tmp_path,
        CATS,
        "write_and_search",
        [[2, 100, 3, 0, 1], [2, 3, 0, 1], [100, 0, 4]],
    )


AGAINST = "Search query against messages.search_body"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("eq", [0]),
        ("eq null", [2]),
        ("eq missing", [3]),
        ("eq nested", [1]),
        ("eq before", [0]),
        ("eq twice", []),
        ("no terms", []),
        (
            "no search",
            (
                f"{AGAINST} does not contain any search filters. "
                'You must include a search filter like `q.search("body", searchText)`.'
            ),
        ),
        (
            "nothing",
            (
                f"{AGAINST} does not contain any search filters. "
                'You must include a search filter like `q.search("body", searchText)`.'
            ),
        ),
        ("two searches", f'{AGAINST} contains multiple search filters against "body". Only one is allowed.'),
        (
            "another field",
            (
                f'{AGAINST} contains a search filter against "channel", '
                'which doesn\'t match the indexed `searchField` "body".'
            ),
        ),
        (
            "another filter",
            (
                f'{AGAINST} contains an equality filter on "n" '
                "but that field isn't indexed for filtering in `filterFields`."
            ),
        ),
        ("nine filters", f"{AGAINST} has too many filter conditions. Max: 8 Actual: 9"),
        ("no text", "Invalid argument `query` for `search`, expected string but got 'int': 5"),
        (
            "no builder",
            "The search of `with_search_index` must return its builder, as in `lambda q: q.search(...)`, not NoneType",
        ),
        (
            "used twice",
            (
                "SearchFilterBuilder has already been used! "
                "Chain your method calls like `lambda q: q.search(...).eq(...)`."
            ),
        ),
    ],
)
def test_searches(tmp_path: Path, how: str, expected: Any) -> None:
    check(tmp_path, CATS, "search", expected, how=how)


@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        ("search", {"index": "by_nothing"}, "Index messages.by_nothing not found."),
        ("search", {"index": "by_channel"}, "Index messages.by_channel not found."),
        ("search", {"index": "by_vector"}, "Index messages.by_vector not found."),
        ("search", {"table": "nowhere"}, "Index nowhere.search_body not found."),
        (
            "search",
            {"index": "later"},
            "Index messages.later is currently staged and not available to query until it is enabled.",
        ),
        ("with_index", {"index": "search_body"}, "Index messages.search_body not found."),
        ("nearest", {"index": "search_body"}, "Index messages.search_body not found."),
        (
            "nearest",
            {"index": "later_vector"},
            "Index messages.later_vector is currently staged and not available to query until it is enabled.",
        ),
    ],
)
def test_indexes_that_cannot_be_asked(tmp_path: Path, function: str, args: dict[str, Any], expected: str) -> None:
    how = {"how": "eq"} if function == "search" else {}
    check(tmp_path, CATS, function, expected, **how, **args)


def test_pages(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        everything = await t.value("ended", end="collect")
        pages: list[list[float]] = []
        cursor = None
        while True:
            page = await t.value("page", opts={"numItems": 17, "cursor": cursor})
            pages.append([message["n"] for message in page["page"]])
            cursor = page["continueCursor"]
            if page["isDone"]:
                break
        assert [n for page in pages for n in page] == everything
        assert [len(page) for page in pages] == [17, 17, 6]
        first = await t.value("page", opts={"numItems": 4, "cursor": None})
        again = {"numItems": 1, "cursor": None, "endCursor": first["continueCursor"]}
        assert (await t.value("page", opts=again))["page"] == first["page"]
        assert "different query" in await t.error("page", text="cats", opts={"numItems": 4, "cursor": cursor})
        nothing = await t.value("page", text="!", opts={"numItems": 4, "cursor": None})
        assert (nothing["page"], nothing["isDone"]) == ([], True)

    with_messages(tmp_path, [{"body": "cat " * (1 + n % 5)} for n in range(40)], test)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, [[0, 1.0], [1, 0.707], [2, 0.0], [3, -1.0]]),
        ({"limit": 2}, [[0, 1.0], [1, 0.707]]),
        ({"limit": 2.0}, [[0, 1.0], [1, 0.707]]),
        ({"vector": [0, 0, -1]}, [[2, 1.0], [3, 0.0], [1, 0.0], [0, 0.0]]),
        ({"filter": "eq"}, [[0, 1.0]]),
        ({"filter": "or"}, [[0, 1.0], [1, 0.707]]),
        ({"filter": "missing"}, [[3, -1.0]]),
        ({"filter": "64"}, [[0, 1.0]]),
        ({"vector": []}, "`vector` must be a non-empty Array in vectorSearch"),
        ({"vector": "abc"}, "`vector` must be a non-empty Array in vectorSearch"),
        ({"vector": 5}, "`vector` must be a non-empty Array in vectorSearch"),
        ({"vector": [1, "a", 2]}, "`vector` must hold numbers in vectorSearch, not 'a'"),
        ({"vector": [1, float("nan"), 2]}, "`vector` must hold finite numbers in vectorSearch"),
        ({"vector": [1, 2]}, "Vector search against messages.by_vector needs a vector of 3 dimensions, not 2."),
        ({"limit": 0}, "`limit` must be between 1 and 256 in vectorSearch, not 0"),
        ({"limit": 257}, "`limit` must be between 1 and 256 in vectorSearch, not 257"),
        ({"limit": 1.5}, "`limit` must be a whole number in vectorSearch, not 1.5"),
        ({"limit": "1"}, "`limit` must be a whole number in vectorSearch, not '1'"),
        (
            {"filter": "another"},
            (
                'Vector search against messages.by_vector contains an equality filter on "n" '
                "but that field isn't indexed for filtering in `filterFields`."
            ),
        ),
        ({"filter": "no field"}, "The first operand of `eq` in a vector filter must take a field path, not 5"),
        (
            {"filter": "no filter"},
            (
                'The filter of `vector_search` is `lambda q: q.eq("field", value)`, '
                "or several of these in `q.or_(...)`, not bool"
            ),
        ),
        (
            {"filter": "or of texts"},
            (
                'The filter of `vector_search` is `lambda q: q.eq("field", value)`, '
                "or several of these in `q.or_(...)`, not str"
            ),
        ),
        ({"filter": "or of nothing"}, "`or_` in a vector filter needs a condition."),
        (
            {"filter": "65"},
            "Vector search against messages.by_vector has too many filter conditions. Max: 64 Actual: 65",
        ),
    ],
)
def test_vector_search(tmp_path: Path, args: dict[str, Any], expected: Any) -> None:
    check(tmp_path, VECTORS, "nearest", expected, **args)


def test_any_sequence_of_numbers_is_a_vector(tmp_path: Path) -> None:
    check(tmp_path, VECTORS, "nearest_to_a_librarys_vector", 4)


@pytest.mark.parametrize("function", ["in_a_query", "in_a_mutation"])
def test_vector_search_is_for_actions(tmp_path: Path, function: str) -> None:
    check(
        tmp_path,
        VECTORS,
        function,
        "Vector search works in actions only: search in an action, then load the documents with `ctx.run_query(...)`.",
    )
