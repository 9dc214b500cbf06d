"""Downloads of stored files."""

import base64
import hashlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path

import pytest

from pyconvex.files.storage import FileStorageFailed
from support.served import Served, run, served

CONTENT = b"hello pyconvex"
FILES = """
from pyconvex.server import Blob, action, mutation, query

@action
async def store(ctx, content: bytes, content_type: str = ""):
    id = await ctx.storage.store(Blob([content], type=content_type))
    return {"id": id, "url": await ctx.storage.get_url(id)}

@query
async def all(ctx):
    return [file["_id"] for file in await ctx.db.system.query("_storage").collect()]

@mutation
async def remove(ctx, id):
    await ctx.storage.delete(id)
"""


def storing(
    tmp_path: Path, story: Callable[[Served, str], Coroutine[None, None, None]], content_type: str = "text/plain"
) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"files": FILES}) as server:
            args = {"content": {"$bytes": base64.b64encode(CONTENT).decode()}, "content_type": content_type}
            stored = (await server.call("/api/action", {"path": "files:store", "args": args})).json["value"]
            assert stored["url"].startswith(f"http://127.0.0.1:{server.sockets.port}/api/storage/")
            await story(server, stored["url"].partition(f":{server.sockets.port}")[2])

    run(whole)


def test_the_whole_file(tmp_path: Path) -> None:
    async def story(server: Served, path: str) -> None:
        reply = await server.send(path, headers={"origin": "https://my.site"}, api=True)
        assert (reply.status, reply.body) == (200, CONTENT)
        digest = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
        expected = {
            "content-type": "text/plain",
            "content-length": str(len(CONTENT)),
            "cache-control": "private, max-age=2592000",
            "accept-ranges": "bytes",
            "digest": f"sha-256={digest}",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox",
            "access-control-allow-origin": "https://my.site",
        }
        assert expected.items() <= dict(reply.headers).items()
        assert not {"etag", "last-modified", "content-disposition"} & dict(reply.headers).keys()
        head = await server.send(path, method="HEAD", api=True)
        assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(CONTENT)))

    storing(tmp_path, story)


@pytest.mark.parametrize(
    ("asked", "status", "body", "shown"),
    [
        ("bytes=0-4", 206, b"hello", "bytes 0-4/14"),
        ("bytes=6-", 206, b"pyconvex", "bytes 6-13/14"),
        ("bytes=6-999", 206, b"pyconvex", "bytes 6-13/14"),
        ("bytes=-6", 206, b"convex", "bytes 8-13/14"),
        ("bytes=-99", 206, CONTENT, "bytes 0-13/14"),
        ("bytes=14-", 416, b"", "bytes */14"),
        ("bytes=5-2", 416, b"", "bytes */14"),
        ("bytes=-0", 416, b"", "bytes */14"),
        ("bytes=0-1,3-4", 416, b"", "bytes */14"),
        ("bytes=-", 416, b"", "bytes */14"),
        ("lines=1-2", 416, b"", "bytes */14"),
        ("bytes=" + "9" * 30 + "-", 416, b"", "bytes */14"),
    ],
)
def test_ranges(tmp_path: Path, asked: str, status: int, body: bytes, shown: str) -> None:
    async def story(server: Served, path: str) -> None:
        reply = await server.send(path, headers={"range": asked}, api=True)
        assert (reply.status, reply.body, reply.header("content-range")) == (status, body, shown)
        assert reply.header("digest") is None

    storing(tmp_path, story)


@pytest.mark.parametrize("content_type", ["", "text/plain\r\nset-cookie: a=b", "text/\x01"])
def test_content_types_that_no_header_can_hold(tmp_path: Path, content_type: str) -> None:
    async def story(server: Served, path: str) -> None:
        reply = await server.send(path, api=True)
        assert (reply.status, reply.body) == (200, CONTENT)
        assert reply.header("set-cookie") is None

    storing(tmp_path, story, content_type)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    async def story(server: Served, path: str) -> None:
        for name, status, code in (
            ("5d0f8a3e-91b7-4c26-8e5a-b64f0c27d913", 404, "FileNotFound"),
            ("kg23n4e41xvx4p7e2dnt0jcc4n7yc6gk", 400, "InvalidStoragePath"),
            ("..%2F..%2Fdata.sqlite3", 400, "InvalidStoragePath"),
            ("", 400, "InvalidStoragePath"),
        ):
            reply = await server.send(f"/api/storage/{name}", api=True)
            assert (reply.status, reply.json["code"]) == (status, code)
        assert (await server.send(path)).status == 404, "files are on the API address only"

    storing(tmp_path, story)


def test_head_is_get_without_the_bytes(tmp_path: Path) -> None:
    async def story(server: Served, path: str) -> None:
        head = await server.send(path, method="HEAD", headers={"range": "bytes=0-4"}, api=True)
        assert (head.status, head.body) == (206, b"")
        assert (head.header("content-length"), head.header("content-range")) == ("5", "bytes 0-4/14")

    storing(tmp_path, story)


@pytest.mark.parametrize("spelling", ["{}?component=abc", "{}?", "{}?download=1&x=%ff"])
def test_what_follows_the_address_changes_nothing(tmp_path: Path, spelling: str) -> None:
    async def story(server: Served, path: str) -> None:
        reply = await server.send(spelling.format(path), api=True)
        assert (reply.status, reply.body) == (200, CONTENT)

    storing(tmp_path, story)


@pytest.mark.parametrize("beside", ["/", "/x", "%00", "%2e%2e", "/../upload"])
def test_addresses_beside_a_file(tmp_path: Path, beside: str) -> None:
    async def story(server: Served, path: str) -> None:
        reply = await server.send(path + beside, api=True)
        assert reply.status == 400

    storing(tmp_path, story)


def test_a_file_that_was_deleted(tmp_path: Path) -> None:
    async def story(server: Served, path: str) -> None:
        [file] = await stored(server)
        await server.call("/api/mutation", {"path": "files:remove", "args": {"id": file}})
        reply = await server.send(path, api=True)
        assert (reply.status, reply.json["code"]) == (404, "FileNotFound")

    storing(tmp_path, story)


def test_a_file_whose_bytes_went_while_it_was_looked_up(tmp_path: Path) -> None:
    async def story(server: Served, path: str) -> None:
        await server.host.deployment.files.delete(path.rpartition("/")[2])
        reply = await server.send(path, headers={"origin": "https://my.site"}, api=True)
        assert (reply.status, reply.json["code"]) == (404, "FileNotFound")
        assert reply.header("access-control-allow-origin") == "https://my.site"

    storing(tmp_path, story)


def test_a_head_needs_no_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: Served, path: str) -> None:
        async def fetched(*_: object, **__: object) -> None:
            raise AssertionError("a bucket would send all of it")

        monkeypatch.setattr(server.host.deployment.files, "open", fetched)
        head = await server.send(path, method="HEAD", api=True)
        assert (head.status, head.header("content-length")) == (200, str(len(CONTENT)))

    storing(tmp_path, story)


def test_a_storage_that_fails_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks() -> AsyncGenerator[bytes, None]:
        yield CONTENT[:5]
        raise FileStorageFailed("StorageUnreachable", "the bucket does not answer")

    async def story(server: Served, path: str) -> None:
        async def opened(*_: object, **__: object) -> AsyncGenerator[bytes, None]:
            return breaks()

        monkeypatch.setattr(server.host.deployment.files, "open", opened)
        reply = await server.send(path, api=True)
        assert (reply.status, reply.body, reply.whole) == (200, CONTENT[:5], False)
        assert [record.getMessage() for record in caplog.records] == ["the bucket does not answer"]

    storing(tmp_path, story)


async def stored(server: Served) -> list[str]:
    return (await server.call("/api/query", {"path": "files:all", "args": {}})).json["value"]
