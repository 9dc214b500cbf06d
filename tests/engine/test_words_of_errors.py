"""Errors in full, with what they advise, where the other suites look at a part of them only."""

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack

import pytest

from pyconvex.errors import RequestRefused
from support.deployment import Deployment, deployment

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "rows": define_table({"a": v.any(), "b": v.any(), "c": v.any(), "vector": v.any()})
        .index("by_a_b", ["a", "b"])
        .search_index("by_text", search_field="b")
        .vector_index("by_vector", vector_field="vector", dimensions=2),
})
"""
MODULE = """
def row(ctx, range):
    return ctx.db.query("rows").with_index("by_a_b", range).collect()

def search(ctx, index, search):
    return ctx.db.query("rows").with_search_index(index, search).collect()

@internal_mutation
async def nothing(ctx):
    pass

@http_action
async def answers(ctx, request):
    return Response("x")

def nowhere():
    @internal_query
    async def hidden(ctx):
        pass
    return hidden

READ = {
    "the second field first": lambda ctx: row(ctx, lambda q: q.eq("b", 1)),
    "a bound before an equality": lambda ctx: row(ctx, lambda q: q.gt("a", 1).eq("b", 1)),
    "a field that is not indexed": lambda ctx: row(ctx, lambda q: q.eq("c", 1)),
    "two equalities": lambda ctx: row(ctx, lambda q: q.eq("a", 1).eq("a", {"x": "y"})),
    "two lower bounds": lambda ctx: row(ctx, lambda q: q.gt("a", 1).gte("a", 2)),
    "two upper bounds": lambda ctx: row(ctx, lambda q: q.lt("a", 1).lte("a", 2)),
    "an equality and a bound": lambda ctx: row(ctx, lambda q: q.gt("a", 1).eq("a", 2)),
    "a bound and an equality": lambda ctx: row(ctx, lambda q: q.eq("a", 1).gt("a", 2)),
    "bounds of two fields": lambda ctx: row(ctx, lambda q: q.gt("a", 1).lt("b", 2)),
    "no range": lambda ctx: row(ctx, lambda q: 5),
    "an index of another kind": lambda ctx: ctx.db.query("rows").with_index("by_text").collect(),
    "a search in an index": lambda ctx: search(ctx, "by_a_b", lambda q: q.search("a", "x")),
    "a search in vectors": lambda ctx: search(ctx, "by_vector", lambda q: q.search("a", "x")),
    "a filter that is not there": lambda ctx: search(ctx, "by_text", lambda q: q.search("b", "x").eq("c", 1)),
    "positional arguments": lambda ctx: ctx.run_query("m:read", {"what": "no range"}),
    "an HTTP action": lambda ctx: ctx.run_query(answers),
    "a function of nowhere": lambda ctx: ctx.run_query(nowhere()),
}

@query
async def read(ctx, what: str):
    await READ[what](ctx)

@query
async def writes_in_a_query(ctx):
    await ctx.db.insert("rows", {})

@query
async def writes_a_system_table(ctx):
    await ctx.db.system.delete("x")

@internal_mutation
async def cancels_itself(ctx):
    [job] = await ctx.db.system.query("_scheduled_functions").collect()
    await ctx.scheduler.cancel(job["_id"])

WRITE = {
    "a delay that is none": lambda ctx: ctx.scheduler.run_after("soon", nothing),
    "a moment that is none": lambda ctx: ctx.scheduler.run_at("soon", nothing),
    "far in the future": lambda ctx: ctx.scheduler.run_after(6 * 365 * 86_400_000, nothing),
    "far in the past": lambda ctx: ctx.scheduler.run_at(0, nothing),
    "a module that is none": lambda ctx: ctx.scheduler.run_after(0, "nowhere:f"),
    "a function that is none": lambda ctx: ctx.scheduler.run_after(0, "m:f"),
    "no job": lambda ctx: ctx.scheduler.cancel("x"),
    "too many values": lambda ctx: ctx.db.table("rows").patch("a", {}, 3),
}

@mutation
async def write(ctx, what: str):
    await WRITE[what](ctx)
"""
IN_ORDER = (
    "Uncaught Error: Tried to query index rows.by_a_b but the query didn't use the index fields in order.\n"
    'Index fields: ["a", "b", "_creationTime"]\nQuery fields: {}\nFirst incorrect field: {}'
)
DEFINED = 'Uncaught Error: Already defined {} bound in index range. Can\'t add "a" {}.'
NO_INDEX = "Uncaught Error: Index rows.{} not found."
SCHEDULED = "Uncaught Error: The function is scheduled for more than 5 years in the {}"
MILLISECONDS = "Give milliseconds since 1970, or a `datetime`."
ERRORS: dict[tuple[str, str], tuple[str, str | None]] = {
    ("read", "the second field first"): (IN_ORDER.format('["b"]', "b"), None),
    ("read", "a bound before an equality"): (IN_ORDER.format('["b", "a"]', "b"), None),
    ("read", "a field that is not indexed"): (
        (
            'Uncaught Error: The index range included a comparison with "c", but rows.by_a_b '
            'with fields ["a", "b", "_creationTime"] doesn\'t index this field.'
        ),
        None,
    ),
    ("read", "two equalities"): (DEFINED.format("equality", 'eq {x: "y"}'), None),
    ("read", "two lower bounds"): (DEFINED.format("lower", "gte 2.0"), None),
    ("read", "two upper bounds"): (DEFINED.format("upper", "lte 2.0"), None),
    ("read", "an equality and a bound"): (DEFINED.format("inequality", "eq 2.0"), None),
    ("read", "a bound and an equality"): (DEFINED.format("equality", "gt 2.0"), None),
    ("read", "bounds of two fields"): (
        (
            "Uncaught Error: Upper and lower bounds in `range` can only be applied to a single index field. This query "
            'against index rows.by_a_b attempted to set a range bound on both "a" and "b".'
        ),
        None,
    ),
    ("read", "no range"): (
        "Uncaught Error: The range of `with_index` must return its builder, as in `lambda q: q.eq(...)`, not int",
        None,
    ),
    ("read", "an index of another kind"): (NO_INDEX.format("by_text"), "It is read with `with_search_index`."),
    ("read", "a search in an index"): (NO_INDEX.format("by_a_b"), "It is read with `with_index`."),
    ("read", "a search in vectors"): (
        NO_INDEX.format("by_vector"),
        "It is read with `ctx.vector_search` of an action.",
    ),
    ("read", "a filter that is not there"): (
        (
            'Uncaught Error: Search query against rows.by_text contains an equality filter on "c" '
            "but that field isn't indexed for filtering in `filterFields`."
        ),
        "Name the field in `filter_fields` of the index, or use `.filter(...)` on the results.",
    ),
    ("read", "positional arguments"): (
        'Uncaught Error: Functions take their arguments by name, but {what: "no range"} was given without one.',
        "Write `ctx.run_mutation(api.messages.send, body=...)`.",
    ),
    ("read", "an HTTP action"): (
        "Uncaught Error: `answers` is an HTTP action: requests reach it through the router, functions do not call it.",
        "Put what both need into an action or a plain function, and call that.",
    ),
    ("read", "a function of nowhere"): (
        "Uncaught Error: `hidden` is no function of the deployed version: no module of `convex/` has it under a name.",
        "Define it at the top level of a module, and import it from there.",
    ),
    ("write", "a delay that is none"): (
        "Uncaught Error: `delay` must be a number",
        "Give milliseconds, or a `timedelta`.",
    ),
    ("write", "a moment that is none"): (
        "Uncaught Error: The invoke time must be a datetime or a timestamp",
        MILLISECONDS,
    ),
    ("write", "far in the future"): (SCHEDULED.format("future"), None),
    ("write", "far in the past"): (SCHEDULED.format("past"), None),
    ("write", "a module that is none"): (
        "Uncaught Error: Attempted to schedule function at nonexistent path: nowhere.py",
        None,
    ),
    ("write", "a function that is none"): (
        (
            "Uncaught Error: Attempted to schedule function, but no exported function f found in the file: m.py. "
            "Did you forget to export it?"
        ),
        "Define it at the top level of the module, as a mutation or an action; HTTP actions cannot be scheduled.",
    ),
    ("write", "no job"): (
        "Uncaught Error: Invalid scheduled function ID. The ID must be an ID on the '_scheduled_functions' table.",
        None,
    ),
    ("write", "too many values"): (
        "Uncaught TypeError: db.table().patch() takes an id and a value; 3 were given",
        None,
    ),
    ("writes_in_a_query", ""): (
        "Uncaught AttributeError: Queries cannot write, so their `ctx.db` has no `insert`: make this a mutation.",
        None,
    ),
    ("writes_a_system_table", ""): (
        "Uncaught AttributeError: System tables are read-only, so `ctx.db.system` has no `delete`.",
        None,
    ),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[asyncio.Runner, Deployment]]:
    with asyncio.Runner() as runner:
        closing = AsyncExitStack()
        opened = deployment(tmp_path_factory.mktemp("words"), {"schema": SCHEMA, "m": MODULE})
        yield runner, runner.run(closing.enter_async_context(opened))
        runner.run(closing.aclose())


@pytest.mark.parametrize(("function", "what"), ERRORS)
def test_the_error_and_its_advice(served: tuple[asyncio.Runner, Deployment], function: str, what: str) -> None:
    runner, d = served
    failure = runner.run(d.call(function, what=what) if what else d.call(function)).failure
    assert failure is not None
    message, hint = ERRORS[function, what]
    assert failure.message == message
    assert failure.hint == hint


COMPONENT = "can only contain alphanumeric characters, underscores, or periods, at least one of them alphanumeric."


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("m:a-b", "The function name 'a-b' is not an identifier."),
        ("m:9", "The function name '9' is not an identifier."),
        ("m.ts:f", "The module has the extension .ts; leave it out."),
        ("m n:f", f"The path component 'm n' {COMPONENT}"),
        ("a//m:f", f"The path component '' {COMPONENT}"),
        ("../m:f", f"The path component '..' {COMPONENT}"),
        (f"{'x' * 65}/m:f", f"The path component {'x' * 40!r}… is longer than 64 characters."),
    ],
)
def test_texts_that_are_no_path(served: tuple[asyncio.Runner, Deployment], path: str, problem: str) -> None:
    runner, d = served
    with pytest.raises(RequestRefused) as refused:
        runner.run(d.runner.call(path, {}, d.call_by()))
    assert (refused.value.status, refused.value.code) == (400, "BadConvexFunctionIdentifier")
    assert refused.value.message == f"{path} is not a valid path to a Convex function. {problem}"
