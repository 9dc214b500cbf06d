"""What came near a limit is warned about, each with its own code, and what pyconvex says itself is marked as such."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.driver.time_limit import TimeLimit
from pyconvex.functions.fetch.request import Request
from pyconvex.settings import Limits
from pyconvex.store.usage import READ_HINT
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

SOURCE = """
@mutation
async def insert(ctx, count: int, size: int = 1):
    for _ in range(count):
        await ctx.db.insert("rows", {"text": "x" * size})

@query
async def collect(ctx):
    await ctx.db.query("rows").collect()

@query
async def look(ctx, count: int):
    for _ in range(count):
        await ctx.db.query("rows").first()

@mutation
async def nest(ctx, depth: int):
    value = 1
    for _ in range(depth):
        value = [value]
    await ctx.db.insert("rows", {"value": value})

@action
async def waits(ctx, seconds: float):
    await asyncio.sleep(seconds)

@http_action
async def answers_late(ctx, request):
    await asyncio.sleep(0.17)
    return Response("late")

@query
async def prints(ctx):
    print("mine")

@query
async def echo(ctx, text: str):
    return text

@action
async def echo_from_an_action(ctx, text: str):
    return text

@mutation
async def forgets(ctx):
    ctx.db.insert("rows", {})

@action
async def forgets_in_an_action(ctx):
    ctx.run_query(api.m.collect)
"""


def lines_of(t: Deployment) -> list[tuple[str, str, str | None]]:
    """Level, text and code of each line so far; a user's line has no code."""
    found: list[tuple[str, str, str | None]] = []
    for entry in t.entries:
        for line in entry.log_lines:
            code = line.system_metadata.code if line.system_metadata else None
            found.append((line.level.value, line.messages[0], code))
    return found


MANY = "Many {} in a single function execution (actual: {}, limit: {})."

COUNTED: dict[str, tuple[Limits, str, dict[str, Any], str, str]] = {
    "documents read": (
        Limits(read_documents=10), "collect", {}, MANY.format("documents read", 9, 10) + f" {READ_HINT}",
        "warning:TooManyDocumentsRead",
    ),
    "bytes read": (
        Limits(read_bytes=750), "collect", {}, MANY.format("bytes read", 639, 750) + f" {READ_HINT}",
        "warning:TooManyBytesRead",
    ),
    "reads": (
        Limits(read_ranges=10), "look", {"count": 9}, MANY.format("reads", 9, 10) + f" {READ_HINT}",
        "warning:TooManyReads",
    ),
    "writes": (
        Limits(write_documents=10), "insert", {"count": 9}, MANY.format("writes", 9, 10), "warning:TooManyWrites",
    ),
    "bytes written": (
        Limits(write_bytes=750), "insert", {"count": 9}, MANY.format("bytes written", 639, 750),
        "warning:TooManyBytesWritten",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", COUNTED)
def test_what_is_counted(tmp_path: Path, what: str) -> None:
    limits, name, arguments, text, code = COUNTED[what]

    async def test() -> None:
        async with deployment(tmp_path, SOURCE, limits=limits) as t:
            await t.value("insert", count=8)
            assert "Many" not in str(lines_of(t))
            await t.value("insert", count=1)
            await t.value(name, **arguments)
            assert lines_of(t) == [("WARN", text, code)]

    asyncio.run(test())


def test_documents(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            await t.value("insert", count=1, size=800_000)
            await t.value("nest", depth=11)
            assert lines_of(t) == []
            await t.value("insert", count=1, size=900_000)
            await t.value("nest", depth=13)
            [large, deep] = lines_of(t)
            assert large[1].startswith("Large document written with ID ")
            assert deep[1].startswith("Deeply nested document written with ID ")
            assert [large[2], deep[2]] == ["warning:ValueTooLarge", "warning:ValueTooNested"]

    asyncio.run(test())


LONG = "Function execution took a long time. (maximum duration: {}s, actual duration: "


def test_the_time_of_an_action(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE, limits=Limits(action_seconds=0.2)) as t:
            await t.value("waits", seconds=0)
            assert lines_of(t) == []
            await t.value("waits", seconds=0.17)
            [(level, text, code)] = lines_of(t)
            assert (level, text.startswith(LONG.format(0.2) + "0.1"), code) == ("WARN", True, "warning:FunctionTimeout")

            handler = t.versions.current.modules["m"].answers_late
            async with t.runner.http_action(t.versions.current, handler, t.call_by(), "GET /late") as running:
                response = await running.respond(Request("http://127.0.0.1/late"))
                running.finish(status=response.status)
            assert [code for _, _, code in lines_of(t)] == ["warning:FunctionTimeout"] * 2

    asyncio.run(test())


@pytest.mark.parametrize(("name", "arguments"), [("look", {"count": 1}), ("insert", {"count": 1})])
@pytest.mark.parametrize(("used", "warned"), [(0.79, False), (0.857, True)])
def test_the_time_of_a_transaction(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: dict[str, Any],
    used: float,
    warned: bool,
) -> None:
    monkeypatch.setattr(TimeLimit, "used_seconds", used)

    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            await t.value(name, **arguments)
            assert lines_of(t) == warned * [("WARN", f"{LONG.format(1)}0.857s)", "warning:FunctionTimeout")]

    asyncio.run(test())


def test_a_result_that_is_too_large(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE, limits=Limits(result_bytes=2**20)) as t:
            assert await t.error("echo", text="x" * (2**20 + 2**19)) == (
                "Function m.js:echo return value is too large (actual: 1.5 MiB, limit: 1 MiB)"
            )

    asyncio.run(test())


def test_sizes_of_an_actions_arguments_and_result(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE, limits=Limits(args_bytes=1000, result_bytes=1000)) as t:
            await t.value("echo_from_an_action", text="x" * 900)
            assert lines_of(t) == [
                (
                    "WARN",
                    "Large size of the action arguments (actual: 909 bytes, limit: 1000 bytes).",
                    "warning:LargeActionArguments",
                ),
                (
                    "WARN",
                    "Large size of the action return value (actual: 902 bytes, limit: 1000 bytes).",
                    "warning:LargeActionReturnValue",
                ),
            ]

    asyncio.run(test())


def test_only_lines_of_the_deployment_have_a_code(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            for name in ("prints", "forgets", "forgets_in_an_action"):
                await t.value(name)
            assert [(level, code) for level, _, code in lines_of(t)] == [
                ("LOG", None),
                ("WARN", "warning:UnawaitedOperations"),
                ("WARN", "warning:UnawaitedOperations"),
            ]

    asyncio.run(test())
