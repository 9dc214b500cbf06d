"""Whatever a version of the functions was asked to do, nothing keeps it alive once another one has replaced it."""

import asyncio
import gc
import weakref
from pathlib import Path

from pyconvex.settings import Limits
from support.served import Served, run, served, write_modules

FUNCTIONS = """
from typing import TypedDict

from pyconvex.server import Blob, Request, Response, current_ctx, http_router
from pyconvex.values import ConvexError, v
from ._generated.api import api, internal
from ._generated.server import action, http_action, internal_mutation, mutation, query
import asyncio
import logging

VERSION = {version}


class Own(Exception):
    pass


class Shape(TypedDict):
    name: str


class Printed:
    pass


@query
async def by_name(ctx, name: str, shape: Shape | None = None) -> list[str]:
    print(Printed(), name)
    found = ctx.db.query("people").with_index("by_name", lambda q: q.eq("name", name)).filter(lambda q: q.eq(1, 1))
    return [person["name"] for person in await found.collect()]


@mutation
async def add(ctx, name: str):
    async def later():
        await asyncio.sleep(0)

    task = asyncio.create_task(later())
    try:
        await ctx.run_mutation(internal.m.fail)
    except Own as error:
        logging.warning("caught %s", str(error))
    await task
    ctx.db.insert("people", {{"name": name}})


@internal_mutation
async def fail(ctx):
    raise Own("on purpose")


@mutation
async def uncaught(ctx):
    raise Own("nobody catches it")


@query
async def spins(ctx):
    while True:
        pass


@query
async def foreign(ctx):
    await asyncio.get_running_loop().create_future()


@action
async def acts(ctx):
    await asyncio.gather(ctx.run_query(api.m.by_name, name="a"), ctx.run_mutation(add, name="b"))
    ctx.run_query(api.m.by_name, name="forgotten")
    raise ConvexError({{"code": 1}})


http = http_router()


@http.route(path="/all", method="POST")
async def everything(ctx, request: Request):
    stored = await ctx.storage.store(Blob([await request.bytes()], type="text/plain"))
    await ctx.run_mutation(add, name="c")

    async def parts():
        yield stored
        yield str(VERSION)

    return Response(parts())


@http.route(path="/fails", method="GET")
async def fails(ctx, request: Request):
    try:
        await ctx.run_action(api.m.acts)
    except ConvexError as error:
        raise Own("again") from error


@http.route(path="/cut", method="GET")
async def cut(ctx, request: Request):
    async def parts():
        yield "a"
        raise Own("half way")

    return Response(parts())


@http.route(path="/late", method="GET")
async def late(ctx, request: Request):
    await asyncio.Event().wait()


async def app(scope, receive, send):
    await current_ctx().run_query(api.m.by_name, name="mounted")
    raise Own("mounted")


http.mount("/mounted/", app)
"""
SCHEMA = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({"people": define_table({"name": v.string()}).index("by_name", ["name"])})
"""
CALLS: list[tuple[str, str, dict[str, object]]] = [
    ("query", "by_name", {"name": "a"}),
    ("query", "by_name", {"name": "a", "shape": {"name": "x"}}),
    ("mutation", "add", {"name": "a"}),
    ("query", "by_name", {"name": 5}),
    ("mutation", "uncaught", {}),
    ("query", "spins", {}),
    ("query", "foreign", {}),
    ("action", "acts", {}),
    ("query", "gone", {}),
]
VERSIONS = 3


def modules(version: int) -> dict[str, str]:
    return {
        "m": FUNCTIONS.format(version=version),
        "http": "from .m import http as default\n",
        "schema": SCHEMA + f"# {version}\n",
    }


async def use_all(server: Served) -> None:
    outcomes = [
        (await server.call(f"/api/{endpoint}", {"path": f"m:{name}", "args": args})).json["status"]
        for endpoint, name, args in CALLS
    ]
    assert outcomes == ["success"] * 3 + ["error"] * 6
    statuses = [(await server.send("/all", method="POST", body=b"hello")).status]
    statuses += [(await server.send(path)).status for path in ("/fails", "/cut", "/late", "/mounted/x", "/nowhere")]
    assert statuses == [200, 500, 200, 500, 500, 404]


def test_a_version_that_has_done_everything_is_freed(tmp_path: Path) -> None:
    async def whole() -> None:
        async with served(tmp_path, modules(0), limits=Limits(query_seconds=0.1, action_seconds=0.2)) as server:
            old: list[weakref.ref[object]] = []
            for version in range(1, VERSIONS + 1):
                await use_all(server)
                registry = server.host.registry
                parts: tuple[object, ...] = (
                    registry,
                    *registry.modules.values(),
                    registry.modules["m"].everything,
                    registry.router,
                )
                old.extend(weakref.ref(part) for part in parts)
                del registry, parts
                write_modules(tmp_path, modules(version))
                await server.host.reload()
            await server.until(lambda: not server.host.app.busy)
            await asyncio.sleep(0)
            gc.collect()
            assert [reference() for reference in old if reference() is not None] == []

    run(whole)
