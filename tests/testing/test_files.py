"""Stored files in a `ConvexTest`: the documented upload flow, downloads, time, and `t.run`."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.errors import PyconvexError
from pyconvex.server import Blob
from pyconvex.testing import ConvexTest
from support.served import run, write_modules

FILES = """
from pyconvex.server import Response, http_action, mutation, query

@mutation
async def generate_upload_url(ctx):
    return await ctx.storage.generate_upload_url()

@mutation
async def send_image(ctx, storageId: str, author: str):
    await ctx.db.insert("messages", {"body": storageId, "author": author, "format": "image"})

@query
async def images(ctx):
    messages = await ctx.db.query("messages").collect()
    return [{**message, "url": await ctx.storage.get_url(message["body"])} for message in messages]
"""


def with_files(tmp_path: Path, story: Callable[[ConvexTest], Coroutine[Any, Any, None]]) -> None:
    write_modules(tmp_path, {"files": FILES})

    async def whole() -> None:
        async with ConvexTest(tmp_path / "convex") as t:
            await story(t)

    run(whole)


def test_the_documented_flow(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        url = await t.mutation("files:generate_upload_url")
        sent = await t.fetch(url, method="POST", body=b"\x89PNG", headers={"Content-Type": "image/png"})
        assert sent.status == 200
        await t.mutation("files:send_image", author="Ada", **(await sent.json()))
        [image] = await t.query("files:images")
        loaded = await t.fetch(image["url"])
        assert (await loaded.bytes(), loaded.headers["content-type"]) == (b"\x89PNG", "image/png")
        part = await t.fetch(image["url"], headers={"Range": "bytes=1-2"})
        assert (part.status, await part.bytes()) == (206, b"PN")

    with_files(tmp_path, story)


def test_an_upload_url_is_good_for_an_hour(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        url = await t.mutation("files:generate_upload_url")
        await t.advance(seconds=3599)
        assert (await t.fetch(url, method="POST", body=b"x")).status == 200
        await t.advance(seconds=2)
        late = await t.fetch(url, method="POST", body=b"x")
        assert (late.status, (await late.json())["code"]) == (401, "StorageTokenExpired")

    with_files(tmp_path, story)


def test_run_stores_and_gets_files(tmp_path: Path) -> None:
    async def arrange(ctx: Any) -> str:
        file = await ctx.storage.store(Blob(["hello"], type="text/plain"))
        await ctx.db.insert("messages", {"body": file, "author": "Ada", "format": "image"})
        blob = await ctx.storage.get(file)
        assert (await blob.text(), blob.type, blob.size) == ("hello", "text/plain", 5)
        assert await ctx.storage.get("00000000-0000-4000-8000-000000000000") is None
        return file

    async def story(t: ConvexTest) -> None:
        file = await t.run(arrange)
        [image] = await t.query("files:images")
        assert image["body"] == file
        assert await (await t.fetch(image["url"])).text() == "hello"
        await t.run(lambda ctx: ctx.storage.delete(file))
        assert (await t.fetch(image["url"])).status == 404

    with_files(tmp_path, story)


def test_a_run_that_fails_has_stored_nothing(tmp_path: Path) -> None:
    async def fails(ctx: Any) -> None:
        await ctx.storage.store(Blob(["hello"]))
        raise ValueError("no")

    async def story(t: ConvexTest) -> None:
        with pytest.raises(ValueError, match="no"):
            await t.run(fails)
        assert await t.run(lambda ctx: ctx.db.system.query("_storage").collect()) == []
        with pytest.raises(PyconvexError, match="Sha256 mismatch"):
            await t.run(lambda ctx: ctx.storage.store(Blob(["hello"]), sha256="00" * 32))
        with pytest.raises(Exception, match="store\\(\\) expects a Blob, got bytes"):
            await t.run(lambda ctx: ctx.storage.store(b"hello"))

    with_files(tmp_path, story)


def test_a_mutation_cannot_store_files(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        with pytest.raises(AttributeError, match="Only actions can store files"):
            await t.mutation(lambda ctx: ctx.storage.store(Blob(["x"])))
        assert await t.action(lambda ctx: ctx.storage.store(Blob(["x"])))

    with_files(tmp_path, story)
