"""Whatever clients send and documents hold: each call has an answer, or an error that says what is wrong with it."""

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyconvex.errors import DeveloperError
from pyconvex.values import ConvexError, Int64
from support.deployment import Deployment, deployment
from support.stores import KINDS, database_of

SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({
    "rows": define_table({"a": v.any(), "text": v.any(), "vector": v.any()})
        .index("by_a", ["a"])
        .search_index("by_text", search_field="text", filter_fields=["a"])
        .vector_index("by_vector", vector_field="vector", dimensions=2, filter_fields=["a"]),
    "free": define_table(v.any()),
})
"""
MODULE = """
@mutation
async def insert(ctx, value):
    return await ctx.db.get(await ctx.db.insert("free", value)) is not None

@mutation
async def insert_row(ctx, value):
    id = await ctx.db.insert("rows", {"a": value, "text": value, "vector": [value, value]})
    found = await ctx.db.query("rows").with_index("by_a", lambda q: q.eq("a", value)).collect()
    searched = await ctx.db.query("rows").with_search_index(
        "by_text", lambda q: q.search("text", value if isinstance(value, str) else "x").eq("a", value)
    ).take(5)
    await ctx.db.patch(id, {"a": None})
    return [id in [row["_id"] for row in found], len(searched)]

@mutation
async def insert_into(ctx, value):
    await ctx.db.insert(value, {})

@mutation
async def patch(ctx, value):
    await ctx.db.patch(await ctx.db.insert("free", {}), value)

@mutation
async def delete(ctx, value):
    await ctx.db.delete(value)

@query
async def get(ctx, value):
    return await ctx.db.get(value)

@query
async def get_of_table(ctx, value):
    return [await ctx.db.get("rows", value), ctx.db.normalize_id("rows", value)]

@query
async def system(ctx, value):
    return await ctx.db.system.get(value)

@query
async def table(ctx, value):
    return await ctx.db.query(value).collect()

@query
async def index(ctx, value):
    return await ctx.db.query("rows").with_index(value).collect()

@query
async def indexed(ctx, value):
    return await ctx.db.query("rows").with_index("by_a", lambda q: q.gt(value, value)).collect()

@query
async def between(ctx, value):
    return len(await ctx.db.query("rows").with_index("by_a", lambda q: q.gte("a", value).lt("a", value)).collect())

@query
async def filtered(ctx, value):
    return len(await ctx.db.query("rows").filter(lambda q: q.or_(
        q.eq(q.field("a"), value), q.lt(q.field("text"), value), q.eq(q.field("a.b"), value)
    )).collect())

@query
async def computed(ctx, value):
    return len(await ctx.db.query("rows").filter(lambda q: q.gt(q.add(q.field("a"), value), value)).collect())

@query
async def field(ctx, value):
    return len(await ctx.db.query("rows").filter(lambda q: q.eq(q.field(value), 1)).collect())

@query
async def search(ctx, value):
    return len(await ctx.db.query("rows").with_search_index("by_text", lambda q: q.search("text", value)).take(9))

@query
async def take(ctx, value):
    return len(await ctx.db.query("rows").take(value))

@query
async def page(ctx, value):
    return await ctx.db.query("rows").paginate({"numItems": 3, "cursor": value})

@query
async def page_with(ctx, value):
    return await ctx.db.query("rows").paginate(value)

@mutation
async def schedule(ctx, value):
    await ctx.scheduler.run_after(value, "m:get", value=1)

@mutation
async def schedule_path(ctx, value):
    await ctx.scheduler.run_after(1e9, value)

@mutation
async def cancel(ctx, value):
    await ctx.scheduler.cancel(value)

@action
async def near(ctx, value):
    return len(await ctx.vector_search("rows", "by_vector", vector=value, filter=lambda q: q.eq("a", value)))

@action
async def near_as_many(ctx, value):
    return len(await ctx.vector_search("rows", "by_vector", vector=[1, 2], limit=value))

@action
async def call(ctx, value):
    return await ctx.run_query(value)

@query
async def echo(ctx, value):
    return value
"""
FUNCTIONS = [line.split("(")[0].removeprefix("async def ") for line in MODULE.splitlines() if "async def" in line]
ODD_TEXTS = [
    *("", "\0", "a\0b", "'", '"', "x' OR 1=1 --", '" OR "a', "a* NEAR(b)", "a & !b | (c", "<->:*", "%s %b", "$x"),
    *("../../etc/passwd", "\ud800", "x" * 40_000, "é" * 700, "\N{COMBINING ACUTE ACCENT}" * 9),
    *("_id", "_scheduled_functions", "by_id", "m:get", "free"),
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.sampled_from(ODD_TEXTS)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just("a"), inner, max_size=4),
    max_leaves=12,
)


class Served:
    """A deployment on a loop of its own."""

    def __init__(self, runner: asyncio.Runner, d: Deployment) -> None:
        self.runner = runner
        self.d = d


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 1


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    root = tmp_path_factory.mktemp("hostile")
    with database_of(request.param, root) as database, asyncio.Runner() as runner:
        closing = AsyncExitStack()
        engine = database.persistence()
        opened = closing.enter_async_context(deployment(root, {"schema": SCHEMA, "m": MODULE}, persistence=engine))
        yield Served(runner, runner.run(opened))
        runner.run(closing.aclose())


def is_explained(error: Exception | None) -> bool:
    """Whether an error is about what was given, and none that pyconvex met by surprise."""
    return type(error) in (TypeError, ValueError) or isinstance(error, DeveloperError | ConvexError)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(values)
@example(float("inf"))
@example(float("nan"))
@example("\ud800")
@example({"\ud800": 1})
@example(nested(17))
@example(nested(70))
@example([1.0] * 8193)
@example({"a" * 1025: 1})
@example({f"k{number}": 1 for number in range(1025)})
@example("x" * (1 << 20))
def test_every_value_is_answered_or_explained(served: Served, value: Any) -> None:
    d = served.d

    async def ask() -> None:
        for function in FUNCTIONS:
            outcome = await d.call(function, value=value)
            if outcome.failure is not None:
                assert is_explained(outcome.error), f"{function}: {outcome.error!r}"
                assert str(Path(__file__).parents[2]) not in outcome.failure.text
                assert str(d.root) not in outcome.failure.text
        assert (await d.value("echo", value="still there")) == "still there"

    served.runner.run(ask())
