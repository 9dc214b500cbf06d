"""Calling functions: who may call what, what arguments and results go through, and what failures say."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.auth.identity import ADMIN
from pyconvex.engine.execution import Caller
from pyconvex.errors import RequestRefused
from pyconvex.functions.function import Kind
from pyconvex.settings import Limits
from pyconvex.store.transaction import Transaction
from support.deployment import HEADER_LINES, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

MESSAGES = """
@mutation
async def send(ctx, body: str, author: str = "nobody") -> str:
    return await ctx.db.insert("messages", {"body": body, "author": author})

@internal_query
async def secret(ctx):
    return 42

@query
def plain(ctx, a: int, b: float):
    return [a, b]

@query
async def everything(ctx, **kwargs):
    return kwargs

@query
async def default(ctx):
    return "default"

@action
async def slow(ctx):
    await asyncio.sleep(60)
"""


def test_a_result_comes_back_with_the_commit_it_was_made_in(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            first = await t.call("send", body="hi")
            second = await t.call("send", body="ho")
            assert isinstance(first.value, str)
            assert first.failure is None
            assert first.ts is not None
            assert second.ts is not None
            assert first.ts < second.ts

    asyncio.run(test())


MISSING = "Could not find public function for '{path}'."

LOOKUPS = {
    "a public function": ("m:send", Kind.MUTATION, False, None),
    "the other spelling, with a suffix": ("m.js:send", Kind.MUTATION, False, None),
    "a module's default": ("m", Kind.QUERY, False, None),
    "an internal one as a client": ("m:secret", Kind.QUERY, False, MISSING),
    "an internal one as an admin": ("m:secret", Kind.QUERY, True, None),
    "nothing of that name": ("m:nope", Kind.QUERY, True, MISSING),
    "no such module": ("n:send", None, True, MISSING),
    "the wrong kind": (
        "m:send",
        Kind.QUERY,
        False,
        "Trying to execute m.js:send as Query, but it is defined as Mutation.",
    ),
    # What does not exist for a client is not of the wrong kind either.
    "an internal one of the wrong kind": ("m:secret", Kind.MUTATION, False, MISSING),
}


@pytest.mark.parametrize("case", LOOKUPS)
def test_who_may_call_what(tmp_path: Path, case: str) -> None:
    path, kind, internal, message = LOOKUPS[case]

    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            outcome = await t.runner.call(
                path, {"body": "x"} if "send" in path else {}, t.call_by(), kind=kind, internal=internal
            )
            found = outcome.failure.text if outcome.failure else None
            assert found == (message and message.format(path=path))
            assert len(t.completions) == 1
            assert t.completions[0].error == found

    asyncio.run(test())


def test_the_other_text_for_a_missing_function(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            outcome = await t.runner.call("m:nope", {}, t.call_by(), text_for_missing="function")
            assert outcome.failure is not None
            assert outcome.failure.text == "Could not find function for 'm:nope'. Did you forget to run `pyconvex dev`?"

    asyncio.run(test())


@pytest.mark.parametrize(
    "path", ["m:no-pe", "/m:send", "a//b:send", "../m:send", "m.ts:send", "", "é:x", "a" * 65 + ":x"]
)
def test_what_is_no_path_is_refused(tmp_path: Path, path: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            with pytest.raises(RequestRefused) as refused:
                await t.runner.call(path, {}, t.call_by())
            assert (refused.value.status, refused.value.code) == (400, "BadConvexFunctionIdentifier")

    asyncio.run(test())


ARGUMENTS: dict[str, tuple[str, object, str | None]] = {
    "an object": ("send", {"body": "x"}, None),
    "a list with the object": ("send", [{"body": "x"}], None),
    "nothing at all": ("default", None, None),
    "an empty list": ("default", [], None),
    "a list of two": (
        "default",
        [{}, {}],
        "Invalid arguments for m.js:default: a function takes one object of arguments, not 2 values",
    ),
    "a text": ("default", "x", "Invalid arguments for m.js:default: the arguments must be an object, not str"),
    "a missing field": (
        "send",
        {},
        (
            "ArgumentValidationError: Object is missing the required field `body`. "
            "Consider wrapping the field validator in `v.optional(...)` if this is expected."
        ),
    ),
    "a field too many": (
        "default",
        {"x": 1},
        "ArgumentValidationError: Object contains extra field `x` that is not in the validator.",
    ),
    "a wrong type": ("send", {"body": 5}, "ArgumentValidationError: Value does not match validator."),
    "not a whole number": ("plain", {"a": 1.5, "b": 1}, "ArgumentValidationError: Value does not match validator."),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_are_checked(tmp_path: Path, case: str) -> None:
    name, args, message = ARGUMENTS[case]

    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            outcome = await t.runner.call(f"m:{name}", args, t.call_by())
            found = outcome.failure.text.splitlines()[0] if outcome.failure else None
            assert found == message

    asyncio.run(test())


def test_numbers_arrive_as_they_are_annotated(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            value = await t.value("plain", a=3.0, b=4)
            assert [type(number) for number in value] == [int, float]
            assert value == [3, 4.0]

    asyncio.run(test())


def test_sizes_of_arguments_and_results(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES, limits=Limits(args_bytes=2**20, result_bytes=2**20)) as t:
            assert await t.error("everything", x="a" * 2**20) == (
                "Arguments for m.js:everything are too large (actual: 1 MiB, limit: 1 MiB)"
            )
            outcome = await t.call("everything", x="a" * 1_000_000)
            assert outcome.log_lines == [
                "[WARN] Large size of the function arguments (actual: 1000006 bytes, limit: 1048576 bytes).",
                "[WARN] Large size of the function return value (actual: 1000006 bytes, limit: 1048576 bytes).",
            ]
            assert t.completions[-1].return_bytes == 1_000_006

    asyncio.run(test())


RESULTS = """
@query
async def returns_a_query(ctx):
    return ctx.db.query("messages")

@query
async def returns_an_object(ctx):
    return {"a": [object()]}

@mutation
async def promises_a_number(ctx) -> int:
    await ctx.db.insert("messages", {})
    return "x"

@query
async def count(ctx):
    return len(await ctx.db.query("messages").collect())

@query
def a_plain_function_may_hand_on_an_answer(ctx):
    return ctx.db.query("messages").collect()
"""


def test_results_are_checked(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, RESULTS) as t:
            assert await t.error("returns_a_query") == (
                "Return value is a Query. "
                "Results must be retrieved with `.collect()`, `.take(n), `.unique()`, or `.first()`."
            )
            assert "is not a supported Convex type" in await t.error("returns_an_object")
            assert (await t.error("promises_a_number")).startswith(
                "ReturnsValidationError: Value does not match validator."
            )
            assert await t.value("count") == 0
            assert await t.value("a_plain_function_may_hand_on_an_answer") == []

    asyncio.run(test())


FAILURES = """
class MyError(ConvexError):
    pass

def helper():
    raise KeyError("missing")

@query
async def nested(ctx):
    helper()

@mutation
async def coded(ctx):
    raise MyError({"code": 7})

@query
async def sloppy(ctx):
    open("/etc/passwd")

@action
async def leaky(ctx):
    raise RuntimeError(f"in {__file__}")

@query
async def empty(ctx):
    raise ValueError

@query
async def leaves(ctx):
    raise SystemExit(3)

@action
async def leaves_too(ctx):
    raise SystemExit(3)

@query
async def grouped(ctx):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(nested.handler(ctx))

@query
async def spins(ctx):
    while True:
        pass

@query
async def sleeps(ctx):
    await asyncio.sleep(1)
"""


def line(number: int) -> int:
    """A line of the module as it lies on disk, below the header."""
    return HEADER_LINES + number


def test_an_exception_names_the_users_frames_innermost_first(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FAILURES) as t:
            outcome = await t.call("nested")
            assert outcome.failure is not None
            assert outcome.failure.text == (
                "Uncaught KeyError: 'missing'\n"
                f"    at helper (../convex/m.py:{line(6)})\n"
                f"    at nested (../convex/m.py:{line(10)})\n"
            )
            assert t.completions[-1].error == outcome.failure.text
            assert isinstance(outcome.error, KeyError)

    asyncio.run(test())


def test_a_convex_error_carries_its_data_past_redaction(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FAILURES) as t:
            failure = (await t.call("coded")).failure
            assert failure is not None
            assert failure.data == {"code": 7}
            assert failure.message == 'Uncaught MyError: {"code":7}'
            assert failure.for_client("abc", redacted=True) == "[Request ID: abc] Server Error"
            assert failure.for_client("abc", redacted=False) == f"[Request ID: abc] Server Error\n{failure.text}"

    asyncio.run(test())


def test_no_message_shows_a_path_of_this_machine(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FAILURES) as t:
            assert await t.error("leaky") == "Uncaught RuntimeError: in ../convex/m.py"
            for name in ("leaky", "sloppy", "nested", "grouped", "spins"):
                failure = (await t.call(name)).failure
                assert failure is not None
                assert str(tmp_path) not in failure.text
                assert f"at {name} (../convex/m.py:" in failure.text

    asyncio.run(test())


LEFT = "Uncaught FunctionExited: The function ended with SystemExit (3) instead of returning or raising an error"
ENDINGS = {
    "empty": "Uncaught ValueError",
    "leaves": LEFT,
    "leaves_too": LEFT,
    "grouped": "Uncaught ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n  KeyError: 'missing'",
    "spins": "Function execution timed out (maximum duration: 0.2s)",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_how_functions_end_that_do_not_return(tmp_path: Path, name: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FAILURES, limits=Limits(query_seconds=0.2)) as t:
            assert await t.error(name) == ENDINGS[name]

    asyncio.run(test())


def test_an_action_has_a_time_limit_of_its_own(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES, limits=Limits(action_seconds=0.05)) as t:
            assert await t.error("slow") == "Function execution timed out (maximum duration: 0.05s)"

    asyncio.run(test())


def test_a_mutation_that_runs_again_starts_from_nothing(tmp_path: Path) -> None:
    source = """
    @mutation
    async def send(ctx, tags: list[str]):
        print(tags)
        tags.append("seen")
        await ctx.db.insert("messages", {"tags": tags})
        return tags
    """

    async def test() -> None:
        async with deployment(tmp_path, source) as t:
            mutate = t.store.mutate

            async def twice(work: Callable[[Transaction], Awaitable[Any]], **options: Any) -> Any:
                """Stands in for an engine that has to retry."""

                async def first(transaction: Transaction) -> None:
                    await work(transaction)
                    raise RuntimeError("conflict")

                with pytest.raises(RuntimeError):
                    await mutate(first)
                return await mutate(work, **options)

            t.store.mutate = twice
            outcome = await t.call("send", tags=["a"])
            assert outcome.value == ["a", "seen"]
            assert outcome.log_lines == ["[LOG] [ 'a' ]"]
            assert len(t.completions) == 1

    asyncio.run(test())


def test_a_failure_of_the_deployment_says_nothing_to_clients(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:

            async def broken(work: object, **options: object) -> None:
                raise OSError("the disk is gone")

            t.store.mutate = broken  # type: ignore[assignment]  # it never answers
            with pytest.raises(RequestRefused) as refused:
                await t.call("send", body="x")
            assert (refused.value.status, refused.value.code) == (500, "InternalServerError")
            assert refused.value.message == "Your request couldn't be completed. Try again later."
            assert t.completions[-1].error == "Uncaught OSError: the disk is gone"

    asyncio.run(test())


def test_inline_functions_return_and_raise_directly(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            new = await t.runner.inline(Kind.MUTATION, lambda ctx: ctx.db.insert("messages", {}), t.call_by())
            assert isinstance(new, str)
            with pytest.raises(ZeroDivisionError):
                await t.runner.inline(Kind.MUTATION, lambda ctx: 1 / 0, t.call_by())

    asyncio.run(test())


def test_the_log_says_who_called(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MESSAGES) as t:
            await t.runner.call("m:send", {"body": "x"}, t.call_by(ADMIN, Caller.HTTP_API))
            entry = t.completions[-1]
            assert (entry.udf_type, entry.identifier, entry.caller) == ("Mutation", "m:send", "HttpApi")
            assert (entry.identity_type, entry.request_id, entry.parent_execution_id) == (
                "instance_admin",
                t.call_by().request_id,
                None,
            )
            assert entry.usage_stats.database_write_documents == 1
            assert entry.execution_timestamp <= entry.timestamp

    asyncio.run(test())


def test_a_call_keeps_its_version_while_a_new_one_is_swapped_in(tmp_path: Path) -> None:
    source = """
    @action
    async def which(ctx, wait: bool):
        if wait:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return [await ctx.run_query("m:version"), {n}]

    @query
    async def version(ctx):
        return {n}
    """

    async def test() -> None:
        async with deployment(tmp_path, source.replace("{n}", "1")) as t:
            in_flight = asyncio.create_task(t.value("which", wait=True))
            await asyncio.sleep(0)
            t.load({"m": source.replace("{n}", "2")})
            assert await in_flight == [1, 1]
            assert await t.value("which", wait=False) == [2, 2]

    asyncio.run(test())
