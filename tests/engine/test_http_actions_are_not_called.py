"""HTTP actions are reached by requests only, whoever else tries to call them and however they name them."""

import asyncio
from pathlib import Path

import pytest

from pyconvex.engine.auth.identity import ADMIN
from support.deployment import deployment

SOURCE = """
@http_action
async def page(ctx, request):
    return Response("page")

@action
async def by_itself(ctx):
    return await ctx.run_action(page)

@action
async def by_path(ctx):
    return await ctx.run_action("m:page")

@action
async def by_reference(ctx):
    return await ctx.run_action(api.m.page)
"""
MISSING = "Could not find function for 'm:page'. Did you forget to run `pyconvex dev`?"


@pytest.mark.parametrize(
    ("caller", "message"),
    [
        (
            "by_itself",
            "Uncaught Error: `page` is an HTTP action: requests reach it through the router, functions do not call it.",
        ),
        ("by_path", MISSING),
        ("by_reference", MISSING),
    ],
)
def test_functions_do_not_call_them(tmp_path: Path, caller: str, message: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            assert await t.error(caller) == message

    asyncio.run(test())


@pytest.mark.parametrize("internal", [False, True])
def test_clients_and_admins_do_not_call_them(tmp_path: Path, internal: bool) -> None:
    async def test() -> None:
        async with deployment(tmp_path, SOURCE) as t:
            outcome = await t.runner.call("m:page", {}, t.call_by(ADMIN), internal=internal)
            assert outcome.failure is not None
            assert outcome.failure.text == "Could not find public function for 'm:page'."

    asyncio.run(test())
