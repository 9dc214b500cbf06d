"""`ctx.meta`: what functions learn about themselves, their request and what they have used."""

import asyncio
from pathlib import Path

from pyconvex.settings import Limits
from support.deployment import REQUEST_ID, deployment

MODULE = """
@query
async def about(ctx):
    return await ctx.meta.get_function_metadata()

@internal_mutation
async def about_mutation(ctx):
    return [await ctx.meta.get_function_metadata(), await ctx.run_query("m:about")]

@action
async def default(ctx):
    return await ctx.meta.get_function_metadata()

@query
async def where(ctx):
    return await ctx.meta.get_deployment_metadata()

@internal_mutation
async def nothing(ctx, text: str):
    pass

@internal_mutation
async def inner(ctx):
    await ctx.db.insert("rows", {"n": 1})
    await ctx.scheduler.run_after(0, nothing, text="abc")

@mutation
async def used(ctx):
    before = await ctx.meta.get_transaction_metrics()
    await ctx.db.insert("rows", {"n": 1})
    await ctx.run_mutation("m:inner")
    await ctx.db.query("rows").collect()
    return [before, await ctx.meta.get_transaction_metrics()]

@query
async def used_by_a_query(ctx):
    return sorted(await ctx.meta.get_transaction_metrics())

@mutation
async def asked(ctx):
    return await ctx.meta.get_request_metadata()

@action
async def asked_action(ctx):
    return [await ctx.meta.get_request_metadata(), await ctx.run_mutation("m:asked")]
"""
METRICS = [
    "bytesRead", "bytesWritten", "databaseQueries", "documentsRead", "documentsWritten", "functionsScheduled",
    "scheduledFunctionArgsBytes",
]  # fmt: skip


def test_which_function_and_which_deployment(tmp_path: Path) -> None:
    async def main() -> None:
        async with deployment(tmp_path, MODULE) as d:
            about = {"name": "m:about", "componentPath": "", "type": "query", "visibility": "public"}
            assert await d.value("about") == about
            mutation = {**about, "name": "m:about_mutation", "type": "mutation", "visibility": "internal"}
            assert await d.value("about_mutation") == [mutation, about]
            assert await d.value("default") == {**about, "name": "m", "type": "action"}
            assert await d.value("where") == {"name": tmp_path.name, "region": None, "class": "self-hosted"}

    asyncio.run(main())


def test_what_a_transaction_has_used_with_all_that_it_called(tmp_path: Path) -> None:
    async def main() -> None:
        limits = Limits(scheduled_functions=10, read_documents=100)
        async with deployment(tmp_path, MODULE, limits=limits) as d:
            before, after = await d.value("used")
            assert sorted(before) == sorted(after) == METRICS == await d.value("used_by_a_query")
            assert {each["used"] for each in before.values()} == {0}
            assert after["documentsRead"] == {"used": 2, "remaining": 98}
            assert (after["documentsWritten"]["used"], after["databaseQueries"]["used"]) == (2, 1)
            assert after["bytesRead"]["used"] == after["bytesWritten"]["used"] > 0
            assert after["functionsScheduled"] == {"used": 1, "remaining": 9}
            assert after["scheduledFunctionArgsBytes"]["used"] == 2 + (4 + 1) + (2 + 3)
            for each in METRICS:
                assert after[each]["used"] + after[each]["remaining"] == before[each]["remaining"]

    asyncio.run(main())


def test_which_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with deployment(tmp_path, MODULE) as d:
            request = {
                "ip": None, "userAgent": None, "requestId": REQUEST_ID, "scheduledFunctionId": None, "authToken": None,
            }  # fmt: skip
            assert await d.value("asked") == request
            assert await d.value("asked_action") == [request, request]

    asyncio.run(main())
