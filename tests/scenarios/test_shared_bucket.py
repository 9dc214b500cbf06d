"""Two processes, one PostgreSQL, one bucket: one deployment, wherever a file comes in and goes out."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyconvex.clock import SystemClock
from pyconvex.engine.files.file_sweep import FileSweep
from pyconvex.files.storage import new_key
from support.postgres import fresh_database, server
from support.s3 import fresh_bucket
from support.served import Served, run, served

FILES = """
from pyconvex.server import action, mutation, query

@mutation
async def upload_url(ctx):
    return await ctx.storage.generate_upload_url()

@query
async def url(ctx, id: str):
    return await ctx.storage.get_url(id)

@action
async def text(ctx, id: str):
    return await (await ctx.storage.get(id)).text()

@mutation
async def remove(ctx, id: str):
    await ctx.storage.delete(id)
"""


async def value(node: Served, kind: str, name: str, **args: Any) -> Any:
    reply = (await node.call(f"/api/{kind}", {"path": f"files:{name}", "args": args})).json
    assert reply["status"] == "success", reply
    return reply["value"]


def path_of(url: str) -> str:
    return "/api/" + url.partition("/api/")[2]


def test_two_nodes_are_one_deployment(tmp_path: Path) -> None:
    async def story() -> None:
        with fresh_database() as name, fresh_bucket() as bucket:
            database, storage = server().database_url(name), bucket.url("chat")
            async with (
                served(tmp_path / "here", {"files": FILES}, database=database, storage=storage) as here,
                served(tmp_path / "there", {"files": FILES}, database=database, storage=storage) as there,
            ):
                target = path_of(await value(here, "mutation", "upload_url"))
                sent = await there.send(target, method="POST", body=b"hello", api=True)
                file = sent.json["storageId"]
                assert await value(here, "action", "text", id=file) == "hello"
                path = path_of(await value(here, "query", "url", id=file))
                for node in (here, there):
                    assert (await node.send(path, headers={"range": "bytes=1-3"}, api=True)).body == b"ell"

                await value(there, "mutation", "remove", id=file)
                assert (await there.send(path, api=True)).status == 404
                await here.until(lambda: not bucket.keys())
                assert (await here.send(path, api=True)).status == 404
                await _one_of_them_sweeps([here, there], bucket.keys)

    async def _one_of_them_sweeps(nodes: list[Served], keys: Any) -> None:
        files = nodes[0].host.deployment.files
        for _ in range(3):
            await files.put(new_key(SystemClock()), b"orphan")
        sweeps = [FileSweep(node.host.runner.services) for node in nodes]
        assert [await sweep.sweep() for sweep in sweeps] == [0, 0], "they may belong to files in the making"
        with patch.object(FileSweep, "age_seconds", -60.0):
            assert sorted([await sweep.sweep() for sweep in sweeps]) == [0, 3]
        assert keys() == []

    run(story)


def test_the_sweep_spares_what_another_deployment_keeps_in_the_bucket(tmp_path: Path) -> None:
    async def story() -> None:
        with fresh_bucket() as bucket:
            async with (
                served(tmp_path / "one", {"files": FILES}, storage=bucket.url()) as one,
                served(tmp_path / "two", {"files": FILES}, storage=bucket.url()) as two,
            ):
                target = path_of(await value(one, "mutation", "upload_url"))
                sent = await one.send(target, method="POST", body=b"hello", api=True)
                with patch.object(FileSweep, "age_seconds", -60.0):
                    assert await FileSweep(two.host.runner.services).sweep() == 0
                    assert await FileSweep(one.host.runner.services).sweep() == 0
                assert await value(one, "action", "text", id=sent.json["storageId"]) == "hello"
                assert (await two.send(target, method="POST", body=b"hello", api=True)).status == 401

    run(story)
