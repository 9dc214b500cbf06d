"""Functions calling functions: sub-transactions, what is undone, and what a forgotten `await` does."""

import asyncio
from pathlib import Path

import pytest

from support.deployment import HEADER_LINES, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

TRANSACTIONS = """
class Refused(Exception):
    pass

@internal_mutation
async def add(ctx, n: int, fail: bool = False):
    await ctx.db.insert("numbers", {"n": n})
    if fail:
        raise Refused(f"not {n}")
    return n

@query
async def numbers(ctx):
    return [row["n"] for row in await ctx.db.query("numbers").collect()]

@mutation
async def all_or_nothing(ctx):
    await ctx.run_mutation(add, n=1)
    await ctx.run_mutation(internal.m.add, n=2, fail=True)

@mutation
async def caught(ctx):
    await ctx.db.insert("numbers", {"n": 0})
    seen = []
    try:
        await ctx.run_mutation("m:add", n=1, fail=True)
    except Refused as error:
        seen.append(str(error))
    await ctx.run_mutation(internal.m.add, n=2)
    return [*seen, *(await ctx.run_query(api.m.numbers))]

@mutation
async def a_table_of_a_failed_child(ctx):
    try:
        await ctx.run_mutation(add, n=1, fail=True)
    except Refused:
        pass
    return await ctx.db.query("numbers").collect()

@mutation
async def side_by_side(ctx):
    return await asyncio.gather(
        ctx.run_mutation(slowly, n=1), ctx.run_mutation(slowly, n=2), ctx.run_mutation(add, n=3, fail=True),
        return_exceptions=False,
    )

@mutation
async def side_by_side_caught(ctx):
    results = await asyncio.gather(
        ctx.run_mutation(slowly, n=1), ctx.run_mutation(add, n=3, fail=True), ctx.run_mutation(slowly, n=2),
        return_exceptions=True,
    )
    return [str(result) for result in results]

@internal_mutation
async def slowly(ctx, n: int):
    before = len(await ctx.db.query("numbers").collect())
    await asyncio.sleep(0)
    await ctx.db.insert("numbers", {"n": n})
    await asyncio.sleep(0)
    return [before, len(await ctx.db.query("numbers").collect())]

@query
async def writes(ctx):
    return await ctx.run_mutation("m:add", n=1)

@query
async def endless(ctx):
    return await ctx.run_query(api.m.endless)

@mutation
async def deep(ctx, left: int):
    return 0 if left == 0 else 1 + await ctx.run_mutation(api.m.deep, left=left - 1)

@mutation
async def wrong_arguments(ctx):
    try:
        await ctx.run_mutation(add, n="x")
    except Exception as error:
        return str(error).splitlines()[0]

@mutation
async def wrong_kind(ctx):
    await ctx.run_query(add, n=1)

@mutation
async def missing(ctx):
    await ctx.run_query("m:nope")

@mutation
async def positional(ctx):
    await ctx.run_mutation(add, 1)

@query
async def rejects_unawaited(ctx):
    ctx.run_query("m:nope")

@mutation
async def prints_from_a_child(ctx):
    print("outer")
    await ctx.run_query(api.m.speaks)

@query
async def speaks(ctx):
    print("inner", 1)

@mutation
async def as_tasks(ctx):
    async with asyncio.TaskGroup() as tasks:
        done = [tasks.create_task(ctx.db.insert("numbers", {"n": n})) for n in range(3)]
        tasks.create_task(ctx.run_mutation(add, n=3))
    return len({task.result() for task in done})
"""


def test_a_failure_undoes_the_whole_mutation(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.error("all_or_nothing") == "Uncaught Refused: not 2"
            assert await t.value("numbers") == []

    asyncio.run(test())


def test_a_failed_child_is_caught_as_what_it_raised_and_undone_alone(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.value("caught") == ["not 1", 0, 2]
            assert await t.value("numbers") == [0, 2]

    asyncio.run(test())


def test_a_table_that_a_failed_child_made_is_gone(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.value("a_table_of_a_failed_child") == []
            assert t.store.catalog.table("numbers") is None

    asyncio.run(test())


def test_siblings_run_one_after_another(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.value("side_by_side_caught") == ["[0, 1]", "not 3", "[1, 2]"]
            assert await t.value("numbers") == [1, 2]

    asyncio.run(test())


def test_a_failed_sibling_that_nobody_catches_fails_all(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.error("side_by_side") == "Uncaught Refused: not 3"
            assert await t.value("numbers") == []

    asyncio.run(test())


def test_calls_and_writes_can_be_made_tasks(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.value("as_tasks") == 3
            assert sorted(await t.value("numbers")) == [0, 1, 2, 3]

    asyncio.run(test())


REFUSALS = {
    "writes": (
        "Uncaught AttributeError: Cannot call a Mutation function from a Query function: make this function a mutation."
    ),
    "endless": ("Uncaught Error: Cross component call depth limit exceeded. Do you have an infinite loop in your app?"),
    "wrong_kind": "Trying to execute m.js:add as Query, but it is defined as Mutation.",
    "missing": "Could not find function for 'm:nope'. Did you forget to run `pyconvex dev`?",
    "positional": "Uncaught Error: Functions take their arguments by name, but 1.0 was given without one.",
    "rejects_unawaited": "Could not find function for 'm:nope'. Did you forget to run `pyconvex dev`?",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_calls_that_are_refused(tmp_path: Path, name: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.error(name) == REFUSALS[name]

    asyncio.run(test())


def test_calls_nest_eight_deep(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.value("deep", left=8) == 8
            assert "depth limit exceeded" in await t.error("deep", left=9)

    asyncio.run(test())


def test_a_nested_validation_error_can_be_caught(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            assert await t.value("wrong_arguments") == "ArgumentValidationError: Value does not match validator."

    asyncio.run(test())


def test_lines_of_a_child_are_among_the_callers_and_say_whose_they_are(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, TRANSACTIONS) as t:
            outcome = await t.call("prints_from_a_child")
            assert outcome.log_lines == ["[LOG] 'outer'", "[LOG] 'inner' 1"]
            [entry] = t.completions
            assert [str(line.udf_path) for line in entry.log_lines] == ["UNSET", "m:speaks"]

    asyncio.run(test())


FORGOTTEN = """
@mutation
async def forgets_a_write(ctx):
    ctx.db.insert("numbers", {"n": 1})
    return 1

@mutation
async def forgets_a_call(ctx):
    ctx.run_mutation(api.m.add)

@mutation
async def add(ctx):
    await ctx.db.insert("numbers", {"n": 2})

@mutation
async def forgets_a_bad_write(ctx):
    await ctx.db.insert("numbers", {"n": 3})
    ctx.db.insert("numbers", "no object")

@mutation
async def forgets_a_task(ctx):
    async def later():
        await asyncio.sleep(0)
        await ctx.db.insert("numbers", {"n": 4})
    asyncio.create_task(later())

@query
async def forgets_a_read(ctx):
    ctx.db.query("numbers").collect()

@query
async def numbers(ctx):
    return [row["n"] for row in await ctx.db.query("numbers").collect()]

LEAKED = []

@mutation
async def leaks_ctx(ctx):
    LEAKED.append(ctx)

@mutation
async def uses_leaked_ctx(ctx):
    await LEAKED[0].db.insert("numbers", {"n": 5})
"""


def warning(call: str, line: int) -> str:
    return (
        f"[WARN] `{call}` at convex/m.py:{HEADER_LINES + line} was not awaited. It was done all the same; "
        f"write `await {call}(...)` to get its result and its errors where they belong."
    )


def test_a_forgotten_write_happens_and_is_warned_about_with_its_line(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FORGOTTEN) as t:
            assert (await t.call("forgets_a_write")).log_lines == [warning("ctx.db.insert", 4)]
            assert (await t.call("forgets_a_call")).log_lines == [warning("ctx.run_mutation", 9)]
            assert (await t.call("forgets_a_task")).log_lines == []
            assert (await t.call("forgets_a_read")).log_lines == []
            assert await t.value("numbers") == [1, 2, 4]

    asyncio.run(test())


def test_the_error_of_a_forgotten_write_is_the_functions(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FORGOTTEN) as t:
            assert "Value must be an Object" in await t.error("forgets_a_bad_write")
            assert await t.value("numbers") == []

    asyncio.run(test())


def test_ctx_is_good_for_its_own_call_only(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FORGOTTEN) as t:
            await t.value("leaks_ctx")
            assert "`ctx` of m:leaks_ctx was used after the function had ended." in await t.error("uses_leaked_ctx")

    asyncio.run(test())


ACTIONS = """
class Refused(Exception):
    pass

@internal_mutation
async def add(ctx, fail: bool = False):
    await ctx.db.insert("numbers", {"n": 1})
    if fail:
        raise Refused("no")

@query
async def count(ctx):
    return len(await ctx.db.query("numbers").collect())

@action
async def each_call_is_its_own(ctx):
    await ctx.run_mutation(internal.m.add)
    try:
        await ctx.run_mutation(internal.m.add, fail=True)
    except Refused as error:
        print("caught", str(error))
    return await ctx.run_query(api.m.count)

@action
async def at_once(ctx):
    await asyncio.gather(*[ctx.run_mutation(add) for _ in range(5)])
    return await ctx.run_query(count)

@action
async def forgets(ctx):
    ctx.run_mutation(add)
    asyncio.create_task(ctx.run_action(api.m.waits))
    await asyncio.sleep(0)

@action
async def waits(ctx):
    await asyncio.sleep(30)

@action
async def calls_an_action(ctx):
    return await ctx.run_action(api.m.at_once)

@action
async def endless(ctx):
    return await ctx.run_action(api.m.endless)

@action
async def coded(ctx):
    await ctx.run_query(api.m.raises)

@query
async def raises(ctx):
    raise ConvexError("told you")

@action
async def timed_out_inside(ctx):
    async with asyncio.timeout(0):
        await asyncio.sleep(1)
"""


def test_calls_from_an_action_are_transactions_of_their_own(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, ACTIONS) as t:
            outcome = await t.call("each_call_is_its_own")
            assert outcome.value == 1
            assert outcome.log_lines == ["[LOG] 'caught' 'no'"]
            action = t.completions[-1]
            assert [entry.identifier for entry in t.completions] == [
                "m:add",
                "m:add",
                "m:count",
                "m:each_call_is_its_own",
            ]
            assert {entry.parent_execution_id for entry in t.completions[:-1]} == {action.execution_id}
            assert {entry.caller for entry in t.completions[:-1]} == {"Action"}
            assert {entry.request_id for entry in t.completions} == {action.request_id}
            assert action.log_lines == []
            progress = [entry for entry in t.entries if entry.kind == "Progress"]
            assert [line.text() for entry in progress for line in entry.log_lines] == outcome.log_lines

    asyncio.run(test())


def test_an_action_may_do_several_things_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, ACTIONS) as t:
            assert await t.value("calls_an_action") == 5

    asyncio.run(test())


def test_what_an_action_forgot_is_cancelled_and_named(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, ACTIONS) as t:
            [line] = (await t.call("forgets")).log_lines
            assert line.startswith("[WARN] 2 unawaited operations: [")
            assert {"mutation", "action"} == set(
                line.partition("[WARN] 2 unawaited operations: [")[2].partition("]")[0].split(", ")
            )
            await asyncio.sleep(0)
            assert await t.value("count") == 0
            assert [entry.error for entry in t.completions if entry.identifier == "m:waits"] == [
                "Cancelled: the caller ended first"
            ]

    asyncio.run(test())


def test_errors_of_callees_arrive_unchanged(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, ACTIONS) as t:
            failure = (await t.call("coded")).failure
            assert failure is not None
            assert (failure.message, failure.data) == ("Uncaught ConvexError: told you", "told you")
            assert "depth limit exceeded" in await t.error("endless")
            assert await t.error("timed_out_inside") == "Uncaught TimeoutError"

    asyncio.run(test())
