"""`ctx.db`: documents by id, queries over indexes, filters, and what each of them refuses."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.deployment import deployment

pytestmark = pytest.mark.usefixtures("every_engine")

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "people": define_table({
        "name": v.string(),
        "age": v.optional(v.union(v.number(), v.null(), v.int64(), v.string())),
        "address": v.optional(v.any()),
    })
        .index("by_age", ["age"])
        .index("by_name_and_age", ["name", "age"])
        .index("by_city", ["address.city"]),
})
"""

PEOPLE = """
@mutation
async def add(ctx, people: list[dict[str, v_any]]):
    return [await ctx.db.insert("people", person) for person in people]

@mutation
async def write(ctx, what: str, arguments: list[v_any]):
    return await getattr(ctx.db, what)(*arguments)

@query
async def read(ctx, what: str, arguments: list[v_any]):
    return await getattr(ctx.db, what)(*arguments)

@query
async def system(ctx, what: str, arguments: list[v_any]):
    return await getattr(ctx.db.system, what)(*arguments)

@query
async def normalize(ctx, table: str, id: v_any):
    return ctx.db.normalize_id(table, id)

RANGES = {
    "all": None,
    "age == 3": lambda q: q.eq("age", 3),
    "age missing": lambda q: q.eq("age", undefined),
    "age null": lambda q: q.eq("age", None),
    "age > 3": lambda q: q.gt("age", 3),
    "age >= 3": lambda q: q.gte("age", 3),
    "age < 3": lambda q: q.lt("age", 3),
    "age <= 3": lambda q: q.lte("age", 3),
    "age > null": lambda q: q.gt("age", None),
    "age > missing": lambda q: q.gt("age", undefined),
    "3 < age < 7": lambda q: q.lt("age", 7).gt("age", 3),
    "7 < age < 3": lambda q: q.gt("age", 7).lt("age", 3),
    "int64 3": lambda q: q.eq("age", Int64(3)),
    "an unknown field": lambda q: q.eq("name", "Ada"),
    "twice equal": lambda q: q.eq("age", 1).eq("age", 2),
    "two lower bounds": lambda q: q.gt("age", 1).gte("age", 2),
    "equal and bounded": lambda q: q.gt("age", 1).eq("age", 2),
    "two fields": lambda q: q.gt("age", 1).lt("_creationTime", 2),
    "no range": lambda q: 5,
    "used twice": lambda q: (q.eq("age", 1), q.eq("age", 2))[1],
}

@query
async def by_age(ctx, range: str, order: str = "asc"):
    found = ctx.db.query("people").with_index("by_age", RANGES[range]).order(order)
    return [person["name"] for person in await found.collect()]

TWO_FIELDS = {
    "name": lambda q: q.eq("name", "Ada"),
    "name and age": lambda q: q.eq("age", 5).eq("name", "Ada"),
    "name, bounded age": lambda q: q.eq("name", "Ada").gt("age", 4).lte("age", 5),
    "name, age, time": lambda q: q.eq("name", "Ada").eq("age", 5).gt("_creationTime", 0),
    "a bounded name": lambda q: q.gte("name", "Ada").lt("name", "B"),
    "age without name": lambda q: q.eq("age", 5),
    "age after a bounded name": lambda q: q.gt("name", "A").eq("age", 5),
}

@query
async def by_name(ctx, range: str):
    found = await ctx.db.query("people").with_index("by_name_and_age", TWO_FIELDS[range]).collect()
    return [[person["name"], person.get("age", "-")] for person in found]

@query
async def by_index(ctx, table: str, index: str):
    return len(await ctx.db.query(table).with_index(index).collect())

FILTERS = {
    "eq": lambda q: q.eq(q.field("age"), 3),
    "eq missing": lambda q: q.eq(q.field("age"), undefined),
    "neq": lambda q: q.neq(q.field("age"), 3),
    "lt": lambda q: q.lt(q.field("age"), 3),
    "gte": lambda q: q.gte(q.field("age"), 7),
    "constant first": lambda q: q.gt(7, q.field("age")),
    "nested field": lambda q: q.eq(q.field("address.city"), "Paris"),
    "and": lambda q: q.and_(q.gt(q.field("age"), 1), q.lt(q.field("age"), 7)),
    "or": lambda q: q.or_(q.eq(q.field("name"), "Ada"), q.eq(q.field("age"), 7)),
    "not": lambda q: q.not_(q.eq(q.field("name"), "Ada")),
    "sums": lambda q: q.eq(q.mod(q.field("n"), 2), 1),
    "true": lambda q: True,
    "a number": lambda q: q.field("name"),
    "add a text": lambda q: q.eq(q.add(q.field("name"), 1), 1),
    "mixed numbers": lambda q: q.eq(q.add(Int64(1), 1), 1),
    "and of a text": lambda q: q.and_(q.field("name")),
    "overflow": lambda q: q.eq(q.mul(Int64(2**62), Int64(2)), 1),
    "int64 by zero": lambda q: q.eq(q.div(Int64(1), Int64(0)), 1),
    "python's and": lambda q: q.eq(1, 1) and q.eq(1, 2),
}

@query
async def filtered(ctx, condition: str):
    found = ctx.db.query("people").filter(FILTERS[condition])
    return [person["name"] for person in await found.collect()]

SUMS = {
    "add": lambda q: q.add(1, 2.5),
    "sub": lambda q: q.sub(1, 2),
    "mul": lambda q: q.mul(2, 3),
    "div": lambda q: q.div(1, 0),
    "mod": lambda q: q.mod(-5, 3),
    "neg": lambda q: q.neg(5),
    "int64 div": lambda q: q.div(Int64(-7), Int64(2)),
    "int64 mod": lambda q: q.mod(Int64(-7), Int64(2)),
    "int64 neg": lambda q: q.neg(Int64(7)),
}

@query
async def holds(ctx, sum: str, equals: v_any):
    return len(await ctx.db.query("people").filter(lambda q: q.eq(SUMS[sum](q), equals)).take(1)) == 1

ENDS = {
    "take": lambda q: q.take(2),
    "take 0": lambda q: q.take(0),
    "take -1": lambda q: q.take(-1),
    "take 1.5": lambda q: q.take(1.5),
    "take a text": lambda q: q.take("2"),
    "first": lambda q: q.first(),
    "unique": lambda q: q.unique(),
    "unique of one": lambda q: q.filter(lambda q: q.eq(q.field("name"), "Ada")).unique(),
    "unique of none": lambda q: q.filter(lambda q: q.eq(q.field("name"), "Zoe")).unique(),
    "first of a filter": lambda q: q.filter(lambda q: q.eq(q.field("name"), "Cid")).first(),
    "take of a filter": lambda q: q.filter(lambda q: q.neq(q.field("name"), "Ada")).take(2),
    "order twice": lambda q: q.order("asc").order("desc"),
    "a bad order": lambda q: q.order("up"),
    "the full scan": lambda q: q.full_table_scan().order("desc").first(),
}

@query
async def ended(ctx, end: str):
    return await ENDS[end](ctx.db.query("people"))

@query
async def iterated(ctx, stop: int):
    names = []
    async for person in ctx.db.query("people").order("desc"):
        names.append(person["name"])
        if len(names) == stop:
            break
    return names

async def chain_twice(q):
    q.order("asc")
    q.filter(lambda q: True)

async def collect_twice(q):
    await q.collect()
    await q.collect()

async def iterate_twice(q):
    async for _ in q: pass
    async for _ in q: pass

async def chain_after_iteration(q):
    async for _ in q: break
    q.order("asc")

@query
async def misused(ctx, how: str):
    await globals()[how](ctx.db.query("people"))

@query
async def tables(ctx, table: str):
    return await ctx.db.query(table).collect()

@query
async def system_tables(ctx, table: str):
    return await ctx.db.system.query(table).collect()
""".replace("v_any", "Any").replace("\n@mutation", "\nfrom typing import Any\n\n@mutation", 1)

MODULES = {"schema": SCHEMA, "m": PEOPLE}
ADA, BOB, CID, DAN, EVE = (
    {"name": "Ada", "age": 5, "address": {"city": "Paris"}},
    {"name": "Bob", "age": 3},
    {"name": "Cid", "age": 7.5},
    {"name": "Dan"},
    {"name": "Eve", "age": None},
)
EVERYBODY = [ADA, BOB, CID, DAN, EVE]


def check(tmp_path: Path, name: str, expected: Any, people: list[dict[str, Any]] = EVERYBODY, **args: Any) -> None:
    """Calls `name` on a table of `people`; `expected` is its value, or as a text the end of its error's first line."""

    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            await t.value("add", people=people)
            outcome = await t.call(name, **args)
            if outcome.failure is None:
                assert outcome.value == expected
            else:
                assert isinstance(expected, str), outcome.failure.text
                assert outcome.failure.message.partition("\n")[0].endswith(expected)

    asyncio.run(test())


RANGES: dict[str, Any] = {
    "all": ["Dan", "Eve", "Bob", "Ada", "Cid"],
    "age == 3": ["Bob"],
    "age missing": ["Dan"],
    "age null": ["Eve"],
    "age > 3": ["Ada", "Cid"],
    "age >= 3": ["Bob", "Ada", "Cid"],
    "age < 3": ["Dan", "Eve"],
    "age <= 3": ["Dan", "Eve", "Bob"],
    "age > null": ["Bob", "Ada", "Cid"],
    "age > missing": ["Eve", "Bob", "Ada", "Cid"],
    "3 < age < 7": ["Ada"],
    "7 < age < 3": [],
    "int64 3": [],
    "an unknown field": (
        'The index range included a comparison with "name", but people.by_age with fields ["age", "_creationTime"] '
        "doesn't index this field."
    ),
    "twice equal": 'Already defined equality bound in index range. Can\'t add "age" eq 2.0.',
    "two lower bounds": 'Already defined lower bound in index range. Can\'t add "age" gte 2.0.',
    "equal and bounded": 'Already defined inequality bound in index range. Can\'t add "age" eq 2.0.',
    "two fields": (
        "Upper and lower bounds in `range` can only be applied to a single index field. This query against index "
        'people.by_age attempted to set a range bound on both "age" and "_creationTime".'
    ),
    "no range": "The range of `with_index` must return its builder, as in `lambda q: q.eq(...)`, not int",
    "used twice": (
        "IndexRangeBuilder has already been used! Chain your method calls like `lambda q: q.eq(...).eq(...)`."
    ),
}


@pytest.mark.parametrize("range", RANGES)
def test_ranges_of_an_index(tmp_path: Path, range: str) -> None:
    check(tmp_path, "by_age", RANGES[range], range=range)


def test_an_index_can_be_read_backwards(tmp_path: Path) -> None:
    check(tmp_path, "by_age", ["Cid", "Ada", "Bob"], range="age >= 3", order="desc")


NAMES: dict[str, Any] = {
    "name": [["Ada", "-"], ["Ada", 4], ["Ada", 5], ["Ada", 5]],
    "name and age": [["Ada", 5], ["Ada", 5]],
    "name, bounded age": [["Ada", 5], ["Ada", 5]],
    "name, age, time": [["Ada", 5], ["Ada", 5]],
    "a bounded name": [["Ada", "-"], ["Ada", 4], ["Ada", 5], ["Ada", 5], ["Ada\0", 5], ["Adam", 5]],
    "age without name": (
        "Tried to query index people.by_name_and_age but the query didn't use the index fields in order."
    ),
    "age after a bounded name": (
        "Tried to query index people.by_name_and_age but the query didn't use the index fields in order."
    ),
}


@pytest.mark.parametrize("range", NAMES)
def test_ranges_over_two_fields(tmp_path: Path, range: str) -> None:
    # A text that goes on after a zero byte is another text: it is no neighbour of "Ada" that counts as one.
    people: list[dict[str, Any]] = [
        {"name": "Ada", "age": 5},
        {"name": "Adam", "age": 5},
        {"name": "Ada\0", "age": 5},
        {"name": "Ada", "age": 4},
        {"name": "Ada"},
        {"name": "Ada", "age": 5},
        {"name": "Bob", "age": 5},
    ]
    check(tmp_path, "by_name", NAMES[range], people, range=range)


INDEXES: dict[tuple[str, str], Any] = {
    ("people", "by_id"): 5,
    ("people", "by_creation_time"): 5,
    ("people", "by_city"): 5,
    ("people", "by_shoe"): "Index people.by_shoe not found.",
    ("ghosts", "by_creation_time"): 0,
    ("ghosts", "by_shoe"): "Index ghosts.by_shoe not found.",
}


@pytest.mark.parametrize("case", INDEXES)
def test_indexes_by_name(tmp_path: Path, case: tuple[str, str]) -> None:
    check(tmp_path, "by_index", INDEXES[case], table=case[0], index=case[1])


FILTERS: dict[str, Any] = {
    "eq": ["Bob"],
    "eq missing": ["Dan"],
    "neq": ["Ada", "Cid", "Dan", "Eve"],
    "lt": ["Dan", "Eve"],
    "gte": ["Cid"],
    "constant first": ["Ada", "Bob", "Dan", "Eve"],
    "nested field": ["Ada"],
    "and": ["Ada", "Bob"],
    "or": ["Ada"],
    "not": ["Bob", "Cid", "Dan", "Eve"],
    "sums": "Cannot take the remainder of a undefined and a float64",
    "true": ["Ada", "Bob", "Cid", "Dan", "Eve"],
    "a number": "`filter` takes conditions that are true or false, but one was a string",
    "add a text": "Cannot add a string and a float64",
    "mixed numbers": "Cannot add a int64 and a float64",
    "and of a text": "`and_` takes conditions that are true or false, but one was a string",
    "overflow": "does not fit into a 64-bit signed integer",
    "int64 by zero": "Cannot divide 1 and 0: division by zero",
    "python's and": "An expression of a filter has no truth value of its own.",
}


@pytest.mark.parametrize("condition", FILTERS)
def test_filters(tmp_path: Path, condition: str) -> None:
    check(tmp_path, "filtered", FILTERS[condition], condition=condition)


SUMS: dict[str, float] = {"add": 3.5, "sub": -1, "mul": 6, "div": float("inf"), "mod": -2, "neg": -5}


@pytest.mark.parametrize("sum", SUMS)
def test_arithmetic_is_javascripts(tmp_path: Path, sum: str) -> None:
    check(tmp_path, "holds", True, sum=sum, equals=SUMS[sum])


INT64_SUMS = {"int64 div": -3, "int64 mod": -1, "int64 neg": -7}


@pytest.mark.parametrize("sum", INT64_SUMS)
def test_arithmetic_of_int64(tmp_path: Path, sum: str) -> None:
    from pyconvex.values import Int64

    check(tmp_path, "holds", True, sum=sum, equals=Int64(INT64_SUMS[sum]))
    check(tmp_path, "holds", False, sum=sum, equals=INT64_SUMS[sum])


ENDS: dict[str, Any] = {
    "take": ["Ada", "Bob"],
    "take 0": [],
    "take -1": "Uncaught TypeError: `take` needs a whole number, 0 or more, not -1",
    "take 1.5": "Uncaught TypeError: `take` needs a whole number, 0 or more, not 1.5",
    "take a text": "Uncaught TypeError: `take` needs a whole number, 0 or more, not '2'",
    "first": "Ada",
    "unique": "unique() query returned more than one result from table people:",
    "unique of one": "Ada",
    "unique of none": None,
    "first of a filter": "Cid",
    "take of a filter": ["Bob", "Cid"],
    "order twice": "Uncaught Error: Queries may only specify order at most once",
    "a bad order": 'The order is "asc" or "desc", not \'up\'',
    "the full scan": "Eve",
}


@pytest.mark.parametrize("end", ENDS)
def test_ends_of_a_query(tmp_path: Path, end: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            await t.value("add", people=EVERYBODY)
            outcome = await t.call("ended", end=end)
            expected = ENDS[end]
            if outcome.failure is not None:
                assert outcome.failure.message.partition("\n")[0].endswith(expected)
            elif isinstance(outcome.value, list):
                assert [person["name"] for person in outcome.value] == expected  # type: ignore[index, call-overload]  # documents
            else:
                assert (outcome.value["name"] if isinstance(outcome.value, dict) else None) == expected

    asyncio.run(test())


def test_unique_names_the_two_that_it_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            ids = await t.value("add", people=EVERYBODY)
            assert (await t.error("ended", end="unique")).splitlines()[1] == f" [{ids[0]}, {ids[1]}, ...]"
            assert t.completions[-1].usage_stats.database_read_documents == 2

    asyncio.run(test())


def test_iteration_reads_what_it_takes(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            await t.value("add", people=[{"name": str(n)} for n in range(1000)])
            assert await t.value("iterated", stop=2) == ["999", "998"]
            assert t.completions[-1].usage_stats.database_read_documents < 300
            assert len(await t.value("iterated", stop=0)) == 1000

    asyncio.run(test())


MISUSES = {
    "chain_twice": "This query has been chained with another operator and can't be reused.",
    "collect_twice": "This query is closed and can't emit any more values.",
    "iterate_twice": "Iteration can only begin on a query once.",
    "chain_after_iteration": "A query can only be chained once and can't be chained after iteration begins.",
}


@pytest.mark.parametrize("how", MISUSES)
def test_a_query_is_used_once(tmp_path: Path, how: str) -> None:
    check(tmp_path, "misused", f"Uncaught Error: {MISUSES[how]}", how=how)


def test_documents_by_id(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            [person] = await t.value("add", people=[{"name": "Ada", "age": 5}])
            document = await t.value("read", what="get", arguments=[person])
            assert document == {"_id": person, "_creationTime": document["_creationTime"], "name": "Ada", "age": 5}
            assert await t.value("read", what="get", arguments=["people", person]) == document
            await t.value("write", what="patch", arguments=[person, {"age": 6}])
            await t.value("write", what="patch", arguments=["people", person, {"address": 1}])
            await t.value("write", what="replace", arguments=[person, {"name": "Bob", "age": 6}])
            assert await t.value("read", what="get", arguments=[person]) == {**document, "name": "Bob", "age": 6}
            await t.value("write", what="delete", arguments=["people", person])
            assert await t.value("read", what="get", arguments=[person]) is None
            assert await t.error("write", what="delete", arguments=[person]) == (
                f"Uncaught DocumentRefused: Delete on nonexistent document ID {person}"
            )

    asyncio.run(test())


def test_patching_with_undefined_removes_a_field(tmp_path: Path) -> None:
    source = """
    @mutation
    async def patched(ctx):
        id = await ctx.db.insert("people", {"name": "Ada", "age": 5, "address": undefined})
        await ctx.db.patch(id, {"age": undefined, "address": {"city": "Paris", "street": undefined}})
        person = await ctx.db.get(id)
        return {key: value for key, value in person.items() if not key.startswith("_")}
    """

    async def test() -> None:
        async with deployment(tmp_path, {**MODULES, "m": source}) as t:
            assert await t.value("patched") == {"name": "Ada", "address": {"city": "Paris"}}

    asyncio.run(test())


def test_what_was_read_is_a_copy(tmp_path: Path) -> None:
    source = """
    @mutation
    async def changed(ctx):
        given = {"name": "Ada", "address": ["a"]}
        id = await ctx.db.insert("people", given)
        given["address"].append("b")
        read = await ctx.db.get(id)
        read["address"].append("c")
        return (await ctx.db.get(id))["address"]
    """

    async def test() -> None:
        async with deployment(tmp_path, {**MODULES, "m": source}) as t:
            assert await t.value("changed") == ["a"]

    asyncio.run(test())


STORAGE_ID = "kg23n4e41xvx4p7e2dnt0jcc4n7yc6gk"
REFUSED: dict[str, tuple[str, str, list[Any], str]] = {
    "an id that is none": ("read", "get", ["nope"], "Unable to decode ID"),
    "an id that is no text": (
        "read",
        "get",
        [5],
        "Invalid argument `id` for `db.get`, expected string but got 'int': 5",
    ),
    "a system id": ("read", "get", [STORAGE_ID], "System tables can only be accessed with db.system."),
    "writing a system table": ("write", "insert", ["_storage", {}], "System tables (prefixed with `_`) are read-only."),
    "writing a system id": ("write", "delete", [STORAGE_ID], "System tables (prefixed with `_`) are read-only."),
    "no object": (
        "write",
        "insert",
        ["people", 5],
        "Invalid argument `value` for `db.insert`: Value must be an Object",
    ),
    "no object to patch with": (
        "write",
        "patch",
        ["$id", [1]],
        "Invalid argument `value` for `db.patch`: Value must be an Object",
    ),
    "another table's id": (
        "write",
        "patch",
        ["ghosts", "$id", {}],
        'Invalid argument `id` for `db.patch`: expected to be an Id<"ghosts">, got Id<"people"> instead.',
    ),
    "a missing value": ("write", "patch", ["$id"], "TypeError: Must provide arg 2 `value` to `patch`"),
    "not the schema": (
        "write",
        "insert",
        ["people", {"name": 5}],
        (
            'Failed to insert or update a document in table "people" because it does not match the schema: '
            "Value does not match validator."
        ),
    ),
    "its own id": ("write", "insert", ["people", {"_id": "x"}], "an insert makes the `_id` itself"),
    "a user's id through db.system": ("system", "get", ["$id"], "User tables cannot be accessed with db.system."),
    "a write in a query": (
        "read",
        "insert",
        ["people", {}],
        "Queries cannot write, so their `ctx.db` has no `insert`: make this a mutation.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_calls_that_are_refused(tmp_path: Path, case: str) -> None:
    name, what, arguments, message = REFUSED[case]

    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            [person] = await t.value("add", people=[ADA])
            given = [person if argument == "$id" else argument for argument in arguments]
            found = (await t.error(name, what=what, arguments=given)).partition("\n")[0]
            assert found.endswith(message)
            assert len(await t.value("tables", table="people")) == 1

    asyncio.run(test())


def test_which_tables_can_be_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            await t.environment.set_many({"SECRET": "x"})
            assert await t.value("tables", table="ghosts") == []
            assert await t.value("system_tables", table="_storage") == []
            assert await t.value("system_tables", table="_environment_variables") == []
            assert "db.system" in await t.error("tables", table="_storage")
            assert "User tables can only be accessed from db.query()." in await t.error("system_tables", table="people")

    asyncio.run(test())


def test_normalizing_ids(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULES) as t:
            [person] = await t.value("add", people=[ADA])
            assert await t.value("normalize", table="people", id=person) == person
            assert await t.value("normalize", table="ghosts", id=person) is None
            assert await t.value("normalize", table="people", id="nope") is None
            assert "expected string" in await t.error("normalize", table="people", id=5)
            assert "db.system" in await t.error("normalize", table="_storage", id=person)

    asyncio.run(test())
