"""`paginate`: what its options may be, what a page holds, and which cursors it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.runner import Outcome
from pyconvex.settings import Limits
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "numbers": define_table({"n": v.number(), "even": v.boolean(), "text": v.optional(v.string())})
        .index("by_n", ["n"])
        .index("by_even", ["even", "n"]),
}, strict_table_name_types=False)
"""

NUMBERS = """
from typing import Any
from pyconvex.server import PaginationOpts, PaginationResult, pagination_opts_validator, pagination_result_validator

@mutation
async def add(ctx, numbers: list[float], text: str = ""):
    return [
        await ctx.db.insert("numbers", {"n": n, "even": n % 2 == 0, **({"text": text} if text else {})})
        for n in numbers
    ]

@mutation
async def remove(ctx, n: float):
    await ctx.db.delete((await ctx.db.query("numbers").with_index("by_n", lambda q: q.eq("n", n)).unique())["_id"])

QUERIES = {
    "all": lambda db: db.query("numbers"),
    "backwards": lambda db: db.query("numbers").order("desc"),
    "by_n": lambda db: db.query("numbers").with_index("by_n"),
    "by_id": lambda db: db.query("numbers").with_index("by_id"),
    "n > 3": lambda db: db.query("numbers").with_index("by_n", lambda q: q.gt("n", 3)),
    "n > 4": lambda db: db.query("numbers").with_index("by_n", lambda q: q.gt("n", 4)),
    "n > 3, backwards": lambda db: db.query("numbers").with_index("by_n", lambda q: q.gt("n", 3)).order("desc"),
    "2 > n > 4": lambda db: db.query("numbers").with_index("by_n", lambda q: q.gt("n", 4).lt("n", 2)),
    "even": lambda db: db.query("numbers").filter(lambda q: q.eq(q.field("even"), True)),
    "odd": lambda db: db.query("numbers").filter(lambda q: q.eq(q.field("even"), False)),
    "not even": lambda db: db.query("numbers").filter(lambda q: q.not_(q.eq(q.field("even"), True))),
    "large": lambda db: db.query("numbers").with_index("by_n").filter(lambda q: q.gt(q.field("n"), 90)),
    "ghosts": lambda db: db.query("ghosts"),
    "files": lambda db: db.system.query("_storage"),
    "secrets": lambda db: db.system.query("_secrets"),
    "no index": lambda db: db.query("numbers").with_index("by_shoe"),
}

@query
async def page(ctx, query: str, options: Any = None):
    page = await QUERIES[query](ctx.db).paginate(options)
    return {**page, "page": [each["n"] if "n" in each else each for each in page["page"]]}

@mutation
async def page_in_a_mutation(ctx, options: Any):
    await ctx.db.insert("numbers", {"n": 2.5, "even": False})
    page = await ctx.db.query("numbers").with_index("by_n").paginate(options)
    return {**page, "page": [each["n"] for each in page["page"]]}

@query
async def two_pages(ctx, options: Any):
    await ctx.db.query("numbers").paginate(options)
    await ctx.db.query("numbers").order("desc").paginate(options)

@query
async def pages_of_others(ctx, options: Any):
    pages = [
        await ctx.run_query(api.m.page, query="by_n", options=options),
        await ctx.run_query(api.m.page, query="by_n", options=options),
        await ctx.db.query("numbers").with_index("by_n").paginate(options),
    ]
    return [len(page["page"]) for page in pages]

@query
async def page_of_another(ctx, options: Any):
    return await ctx.run_query(api.m.page, query="by_n", options=options)

@query
async def no_page(ctx):
    return 5

@query
async def fail(ctx, options: Any, early: bool):
    if not early:
        await ctx.db.query("numbers").with_index("by_n").paginate(options)
    raise ValueError("no")

@query
async def caught(ctx, cursor: str):
    try:
        await ctx.db.query("numbers").paginate({"numItems": 1, "cursor": cursor})
    except ConvexError as error:
        return error.data

@query
async def annotated(ctx, paginationOpts: PaginationOpts) -> PaginationResult[Any]:
    return await ctx.db.query("numbers").paginate(paginationOpts)

@query(args={"paginationOpts": pagination_opts_validator}, returns=pagination_result_validator(v.any()))
async def validated(ctx, paginationOpts):
    return await ctx.db.query("numbers").paginate(paginationOpts)

@query
async def not_paginated(ctx):
    return await ctx.db.query("numbers").paginate()

@query
async def closed(ctx):
    found = ctx.db.query("numbers")
    await found.collect()
    await found.paginate({"numItems": 1, "cursor": None})
"""

MODULES = {"schema": SCHEMA, "m": NUMBERS}
FOREIGN = (
    "Uncaught InvalidCursor: Tried to run a query starting from a cursor, "
    "but it looks like this cursor is from a different query."
)
RECOGNISED = {"isConvexSystemError": True, "paginationError": "InvalidCursor"}


def check(
    tmp_path: Path,
    test: Callable[[Deployment], Awaitable[None]],
    numbers: list[float] | None = None,
    limits: Limits | None = None,
) -> None:
    """Runs `test` on a table of `numbers`."""

    async def run() -> None:
        async with deployment(tmp_path, MODULES, limits=limits) as t:
            await t.value("add", numbers=list(range(10)) if numbers is None else numbers)
            await test(t)

    asyncio.run(run())


async def page(t: Deployment, query: str, items: float = 3, cursor: str | None = None, **more: Any) -> Any:
    return await t.value("page", query=query, options={"numItems": items, "cursor": cursor, **more})


async def pages(t: Deployment, query: str, items: int, **more: Any) -> list[Any]:
    """The documents of all pages up to the one that is done."""
    found: list[Any] = []
    cursor = None
    while not found or not found[-1]["isDone"]:
        found.append(await page(t, query, items, cursor, **more))
        cursor = found[-1]["continueCursor"]
    return [each["page"] for each in found]


def shape(page: Any) -> tuple[Any, ...]:
    return page["page"], page["isDone"], page["pageStatus"], page["splitCursor"] is not None


OPTIONS: dict[str, tuple[Any, str]] = {
    "nothing": (None, "Uncaught TypeError: Must provide arg 1 `options` to `paginate`"),
    "no object": (5, "Invalid argument `options` for `paginate`: Value must be an Object, not 5"),
    "no numItems": ({}, "`options.numItems` must be a positive number. Received `None`."),
    "a text": ({"numItems": "5"}, "`options.numItems` must be a positive number. Received `'5'`."),
    "true": ({"numItems": True}, "`options.numItems` must be a positive number. Received `True`."),
    "negative": ({"numItems": -1}, "`options.numItems` must be a positive number. Received `-1`."),
    "half": ({"numItems": 1.5}, "`options.numItems` must be a positive number. Received `1.5`."),
    "infinite": ({"numItems": float("inf")}, "`options.numItems` must be a positive number. Received `inf`."),
    "NaN": ({"numItems": float("nan")}, "`options.numItems` must be a positive number. Received `nan`."),
    "zero": ({"numItems": 0}, "Must request at least 1 document while paginating"),
    "zero with an end": ({"numItems": 0, "endCursor": "x"}, "Must request at least 1 document while paginating"),
    "too many": ({"numItems": 32_001.0}, "Requested too many items: 32001"),
    "no rows": ({"numItems": 1, "maximumRowsRead": 0}, "maximumRowsRead and maximumBytesRead must be greater than 0"),
    "no bytes": ({"numItems": 1, "maximumBytesRead": 0}, "maximumRowsRead and maximumBytesRead must be greater than 0"),
    "negative rows": (
        {"numItems": 1, "maximumRowsRead": -1},
        "`options.maximumRowsRead` must be a positive number. Received `-1`.",
    ),
    "a number as cursor": (
        {"numItems": 1, "cursor": 5},
        "Invalid argument `options.cursor` for `paginate`, expected string or null but got 'int': 5",
    ),
    "no cursor": ({"numItems": 1, "cursor": "nope"}, FOREIGN),
    "an empty cursor": ({"numItems": 1, "cursor": ""}, FOREIGN),
    "beyond ASCII": ({"numItems": 1, "cursor": "ü"}, FOREIGN),
    "no end cursor": ({"numItems": 1, "endCursor": "nope"}, FOREIGN),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_cannot_be(tmp_path: Path, case: str) -> None:
    options, message = OPTIONS[case]

    async def test(t: Deployment) -> None:
        found = await t.error("page", query="all", options=options)
        assert found.endswith(message)
        assert found.startswith("Uncaught ")

    check(tmp_path, test)


def test_misuse(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        assert "Must provide arg 1 `options` to `paginate`" in await t.error("not_paginated")
        assert "This query is closed and can't emit any more values." in await t.error("closed")
        assert "Index numbers.by_shoe not found." in await t.error("page", query="no index", options={"numItems": 1})

    check(tmp_path, test)


PAGES: dict[str, tuple[str, int, list[list[float]]]] = {
    "a last page that is not full": ("all", 4, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
    "a last page that is full is not the last": ("all", 5, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], []]),
    "more than there is": ("all", 20, [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]),
    "backwards": ("backwards", 6, [[9, 8, 7, 6, 5, 4], [3, 2, 1, 0]]),
    "a range": ("n > 3", 4, [[4, 5, 6, 7], [8, 9]]),
    "a range backwards": ("n > 3, backwards", 4, [[9, 8, 7, 6], [5, 4]]),
    "a contradiction": ("2 > n > 4", 4, [[]]),
    "a filter": ("even", 2, [[0, 2], [4, 6], [8]]),
    "a table that does not exist": ("ghosts", 2, [[]]),
    "a private table": ("secrets", 2, [[]]),
}


@pytest.mark.parametrize("case", PAGES)
def test_pages_one_after_another(tmp_path: Path, case: str) -> None:
    query, items, expected = PAGES[case]

    async def test(t: Deployment) -> None:
        assert await pages(t, query, items) == expected

    check(tmp_path, test)


def test_the_end_of_a_query_stays_the_end(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        last = await page(t, "by_n", 20)
        await t.value("add", numbers=[10])
        again = await page(t, "by_n", 20, last["continueCursor"])
        assert shape(again) == ([], True, None, False)
        assert again["continueCursor"] == last["continueCursor"]

    check(tmp_path, test)


def test_a_page_begins_behind_its_cursor_even_if_that_document_is_gone(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        first = await page(t, "by_n", 3)
        await t.value("remove", n=2)
        await t.value("add", numbers=[1.5, 2.5])
        assert (await page(t, "by_n", 2, first["continueCursor"]))["page"] == [2.5, 3]

    check(tmp_path, test)


def test_equal_positions_give_equal_cursors_that_show_nothing(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        await t.value("add", numbers=[-1], text="a secret text")
        cursors = [(await page(t, "all", 11))["continueCursor"] for _ in range(2)]
        assert cursors[0] == cursors[1]
        assert "secret" not in cursors[0]

    check(tmp_path, test)


def test_a_cursor_belongs_to_one_query(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        cursor = (await page(t, "n > 3", 2))["continueCursor"]
        assert (await page(t, "n > 3", 2, cursor))["page"] == [6, 7]
        for query in ("all", "by_n", "by_id", "n > 4", "n > 3, backwards", "even", "ghosts"):
            outcome = await t.call("page", query=query, options={"numItems": 2, "cursor": cursor})
            assert outcome.failure is not None
            assert outcome.failure.message == FOREIGN
            assert outcome.failure.data == RECOGNISED
        filtered = (await page(t, "odd", 2))["continueCursor"]
        assert FOREIGN in await t.error("page", query="even", options={"numItems": 2, "cursor": filtered})
        assert FOREIGN in await t.error("page", query="not even", options={"numItems": 2, "cursor": filtered})

    check(tmp_path, test)


def test_a_cursor_cannot_be_made_up(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        cursor = (await page(t, "all", 2))["continueCursor"]
        for position in range(0, len(cursor) - 1, 7):
            broken = cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1 :]
            assert FOREIGN in await t.error("page", query="all", options={"numItems": 2, "cursor": broken})
        assert await t.value("caught", cursor=cursor + "AAAA") == RECOGNISED

    check(tmp_path, test)


def test_cursors_of_another_deployment_are_foreign(tmp_path: Path) -> None:
    cursors: list[str] = []

    async def first(t: Deployment) -> None:
        cursors.append((await page(t, "all", 2))["continueCursor"])

    async def second(t: Deployment) -> None:
        assert FOREIGN in await t.error("page", query="all", options={"numItems": 2, "cursor": cursors[0]})

    check(tmp_path / "one", first)
    check(tmp_path / "two", second)


MAXIMA: dict[str, tuple[str, dict[str, Any], tuple[list[float], bool, str | None, bool]]] = {
    "rows end the page": ("by_n", {"maximumRowsRead": 4}, ([0, 1, 2, 3], False, "SplitRequired", True)),
    "rows that a filter rejects count": ("large", {"maximumRowsRead": 4}, ([], False, "SplitRequired", True)),
    "two rows have no middle": ("by_n", {"maximumRowsRead": 2}, ([0, 1], False, "SplitRequired", False)),
    "the last row reaches it": ("by_n", {"maximumRowsRead": 10}, ([*range(10)], False, "SplitRequired", True)),
    "three quarters of the rows": ("by_n", {"maximumRowsRead": 13}, ([*range(10)], True, "SplitRecommended", True)),
    "just three quarters": ("by_n", {"maximumRowsRead": 12, "numItems": 9}, ([*range(9)], False, None, True)),
    "fewer rows": ("by_n", {"maximumRowsRead": 14}, ([*range(10)], True, None, True)),
    "enough items at the same row": ("by_n", {"maximumRowsRead": 5, "numItems": 5}, (
        [*range(5)], False, "SplitRecommended", True)),
    "bytes end the page": ("by_n", {"maximumBytesRead": 200}, ([0, 1, 2], False, "SplitRequired", True)),
    "one row is always read": ("by_n", {"maximumBytesRead": 1}, ([0], False, "SplitRequired", False)),
    "three quarters of the bytes": ("by_n", {"maximumBytesRead": 1000}, ([*range(10)], True, "SplitRecommended", True)),
    "fewer bytes": ("by_n", {"maximumBytesRead": 2000}, ([*range(10)], True, None, True)),
}  # fmt: skip


@pytest.mark.parametrize("case", MAXIMA)
def test_maxima_end_a_page_early(tmp_path: Path, case: str) -> None:
    query, options, expected = MAXIMA[case]

    async def test(t: Deployment) -> None:
        found = await t.value("page", query=query, options={"numItems": 100, "cursor": None, **options})
        assert shape(found) == expected
        rest = await t.value("page", query=query, options={"numItems": 100, "cursor": found["continueCursor"]})
        everything = [] if query == "large" else [*range(10)]
        assert found["page"] + rest["page"] == everything
        assert rest["isDone"]

    check(tmp_path, test)


def test_large_pages_should_be_split(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        assert (await page(t, "by_n", 6144))["pageStatus"] is None
        assert (await page(t, "by_n", 6145))["pageStatus"] == "SplitRecommended"
        assert (await page(t, "by_n", 32_000))["isDone"], "as many items as may be"

    check(tmp_path, test, [*range(6145)])


def test_the_limits_of_the_transaction_are_maxima_too(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        assert (await page(t, "by_n", 3))["pageStatus"] is None
        assert (await page(t, "by_n", 4))["pageStatus"] == "SplitRecommended"
        assert "Too many documents read" in await t.error("page", query="large", options={"numItems": 1})

    check(tmp_path, test, limits=Limits(read_documents=5))


def test_a_split_page_is_two_pages(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        first = await page(t, "by_n", 2)
        whole = await page(t, "by_n", 7, first["continueCursor"])
        assert whole["page"] == [2, 3, 4, 5, 6, 7, 8]
        middle, end = whole["splitCursor"], whole["continueCursor"]
        lower = await page(t, "by_n", 1, first["continueCursor"], endCursor=middle, maximumRowsRead=1)
        upper = await page(t, "by_n", 1, middle, endCursor=end)
        assert lower["page"] == [2, 3, 4, 5]
        assert upper["page"] == [6, 7, 8]
        assert (lower["continueCursor"], lower["isDone"]) == (middle, False)
        assert (upper["continueCursor"], upper["isDone"]) == (end, False)
        assert lower["pageStatus"] == "SplitRecommended"

    check(tmp_path, test)


def test_an_end_cursor_is_exact(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        begun, ended = await page(t, "by_n", 2), await page(t, "by_n", 5)
        last = await page(t, "by_n", 100)
        begin, end, last_end = (each["continueCursor"] for each in (begun, ended, last))
        await t.value("remove", n=4)
        await t.value("add", numbers=[1.5, 3.5, 4.5, 10])
        assert (await page(t, "by_n", 1, None, endCursor=begin))["page"] == [0, 1]
        assert (await page(t, "by_n", 1, begin, endCursor=end))["page"] == [1.5, 2, 3, 3.5]
        rest = await page(t, "by_n", 1, end, endCursor=last_end)
        assert (rest["page"], rest["isDone"]) == ([4.5, 5, 6, 7, 8, 9, 10], True)
        assert (await page(t, "by_n", 1, end, endCursor=begin))["page"] == []
        assert (await page(t, "by_n", 1, end, endCursor=end))["page"] == []
        beyond = await page(t, "by_n", 1, last_end, endCursor=end)
        assert (beyond["page"], beyond["continueCursor"]) == ([], end)

    check(tmp_path, test)


def test_one_page_in_each_function(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        options = {"numItems": 2, "cursor": None}
        assert await t.error("two_pages", options=options) == (
            "Uncaught Error: This query or mutation function ran multiple paginated queries. "
            "Convex only supports a single paginated query in each function."
        )
        assert await t.value("pages_of_others", options=options) == [2, 2, 2]

    check(tmp_path, test)


def test_mutations_page_over_what_they_wrote_and_keep_no_journal(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        outcome = await t.call("page_in_a_mutation", options={"numItems": 4, "cursor": None})
        assert isinstance(outcome.value, dict)
        assert outcome.value["page"] == [0, 1, 2, 2.5]
        assert outcome.journal is None

    check(tmp_path, test)


@pytest.mark.parametrize("name", ["annotated", "validated"])
def test_options_and_results_in_signatures(tmp_path: Path, name: str) -> None:
    options = {"numItems": 3.0, "cursor": None, "id": 5.5, "endCursor": None}

    async def test(t: Deployment) -> None:
        found = await t.value(name, paginationOpts=options)
        assert [each["n"] for each in found["page"]] == [0, 1, 2]
        assert "ArgumentValidationError" in await t.error(name, paginationOpts={"numItems": 3})

    check(tmp_path, test)


async def run(t: Deployment, name: str, journal: str | None = None, **args: Any) -> Outcome:
    return await t.runner.call(f"m:{name}", args, t.call_by(), journal=journal)


def test_a_journal_keeps_the_page_where_it_was(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        options = {"numItems": 3, "cursor": None}
        for name, args in (("page", {"query": "by_n"}), ("page_of_another", {})):
            first = await run(t, name, options=options, **args)
            assert isinstance(first.value, dict)
            assert first.journal == first.value["continueCursor"]
            await t.value("add", numbers=[0.5, 1.5, 2.5])
            again = await run(t, name, first.journal, options=options, **args)
            assert isinstance(again.value, dict)
            assert again.value["page"] == [0, 0.5, 1, 1.5, 2]
            assert again.journal == again.value["continueCursor"] == first.journal
            for n in (0.5, 1.5, 2.5):
                await t.value("remove", n=n)

    check(tmp_path, test)


def test_an_explicit_end_comes_before_the_journal(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        two, four = [(await page(t, "by_n", n))["continueCursor"] for n in (2, 4)]
        options = {"numItems": 1, "cursor": None, "endCursor": four}
        outcome = await run(t, "page", two, query="by_n", options=options)
        assert isinstance(outcome.value, dict)
        assert outcome.value["page"] == [0, 1, 2, 3]
        assert outcome.journal == four

    check(tmp_path, test)


def test_journals_of_queries_that_changed_or_read_no_page(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        options = {"numItems": 3, "cursor": None}
        journal = (await run(t, "page", query="by_n", options=options)).journal
        assert journal is not None
        assert (await run(t, "no_page")).journal is None
        assert (await run(t, "no_page", journal)).journal is None
        for foreign in ("nonsense", journal):
            outcome = await run(t, "page", foreign, query="all", options=options)
            assert isinstance(outcome.value, dict)
            assert outcome.value["page"] == [0, 1, 2]
            assert outcome.journal == outcome.value["continueCursor"]

    check(tmp_path, test)


def test_a_failed_query_keeps_its_journal(tmp_path: Path) -> None:
    async def test(t: Deployment) -> None:
        options = {"numItems": 3, "cursor": None}
        journal = (await run(t, "page", query="by_n", options=options)).journal
        assert (await run(t, "fail", journal, options=options, early=True)).journal == journal
        assert (await run(t, "fail", None, options=options, early=True)).journal is None
        assert (await run(t, "fail", None, options=options, early=False)).journal == journal

    check(tmp_path, test)
