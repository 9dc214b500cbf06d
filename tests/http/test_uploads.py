"""Uploads to the URLs of `ctx.storage.generate_upload_url()`: what is kept, what is refused, and what is left then."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.files.storage import FileStorageFailed
from pyconvex.settings import Limits
from support.served import Reply, Served, read_reply, run, served

CONTENT = b"hello pyconvex"
DIGEST = base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
FILES = """
from pyconvex.server import action, mutation, query
from pyconvex.values import ConvexError

@mutation
async def upload_url(ctx):
    return await ctx.storage.generate_upload_url()

@action
async def upload_url_of_action(ctx):
    return await ctx.storage.generate_upload_url()

@query
async def file(ctx, id: str):
    return {"url": await ctx.storage.get_url(id), **(await ctx.db.system.get("_storage", id))}

@query
async def files(ctx):
    return await ctx.db.system.query("_storage").collect()
"""


class Uploads:
    """A deployment on disk that takes files."""

    def __init__(self, server: Served, data: Path) -> None:
        self.server = server
        self._data = data

    async def value(self, kind: str, name: str, **args: Any) -> Any:
        reply = (await self.server.call(f"/api/{kind}", {"path": f"files:{name}", "args": args})).json
        assert reply["status"] == "success", reply
        return reply["value"]

    async def target(self, function: str = "upload_url") -> str:
        """Path and query of a new upload URL."""
        kind = "action" if function.endswith("action") else "mutation"
        url = await self.value(kind, function)
        prefix = f"http://127.0.0.1:{self.server.sockets.port}"
        assert url.startswith(f"{prefix}/api/storage/upload?token=")
        return url.removeprefix(prefix)

    async def send(self, target: str, body: bytes = CONTENT, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.server.send(target, method="POST", headers=named, body=body, api=True)

    async def refused(self, target: str, body: bytes = CONTENT, **headers: str) -> tuple[int, str]:
        """Status and code of an upload that leaves nothing behind."""
        reply = await self.send(target, body, **headers)
        assert await self.value("query", "files") == []
        assert self.left() == []
        return reply.status, reply.json["code"]

    async def download(self, id: str) -> Reply:
        url = (await self.value("query", "file", id=id))["url"]
        return await self.server.send("/api/" + url.partition("/api/")[2], api=True)

    def left(self) -> list[Path]:
        """Everything that is in the folder of the files."""
        return [path for path in (self._data / "files").rglob("*") if path.is_file()]


def uploading(
    tmp_path: Path, story: Callable[[Uploads], Coroutine[Any, Any, None]], *, limits: Limits | None = None
) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"files": FILES}, memory=False, limits=limits) as server:
            await story(Uploads(server, tmp_path / ".pyconvex"))

    run(whole)


@pytest.mark.parametrize("function", ["upload_url", "upload_url_of_action"])
def test_a_file_is_kept_and_comes_back(tmp_path: Path, function: str) -> None:
    async def story(t: Uploads) -> None:
        reply = await t.send(await t.target(function), content_type="text/plain", origin="https://my.site")
        assert (reply.status, reply.header("content-type")) == (200, "application/json")
        assert reply.header("access-control-allow-origin") == "https://my.site"
        assert reply.header("access-control-allow-credentials") == "true"
        file = reply.json["storageId"]
        assert reply.json == {"storageId": file}
        document = await t.value("query", "file", id=file)
        assert {name: document[name] for name in ("_id", "sha256", "size", "contentType")} == {
            "_id": file,
            "sha256": DIGEST,
            "size": 14.0,
            "contentType": "text/plain",
        }
        loaded = await t.download(file)
        assert (loaded.body, loaded.header("content-type")) == (CONTENT, "text/plain")

    uploading(tmp_path, story)


def test_each_post_is_a_file_of_its_own(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        target = await t.target()
        ids = [(await t.send(target)).json["storageId"] for _ in range(3)]
        assert len(set(ids)) == 3
        assert await t.target() != target

    uploading(tmp_path, story)


@pytest.mark.parametrize("given", [None, "", "Text/Plain;  charset=X", "nonsense", "a/\xe9"])
def test_the_content_type_is_kept_as_it_is(tmp_path: Path, given: str | None) -> None:
    async def story(t: Uploads) -> None:
        headers: dict[str, str] = {} if given is None else {"content_type": given}
        file = (await t.send(await t.target(), CONTENT, **headers)).json["storageId"]
        document = await t.value("query", "file", id=file)
        assert document.get("contentType") == (given or None)
        assert (await t.download(file)).header("content-type") == (given or None)

    uploading(tmp_path, story)


def test_an_empty_file(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        file = (await t.send(await t.target(), b"", content_length="0")).json["storageId"]
        loaded = await t.download(file)
        assert (loaded.status, loaded.body, loaded.header("content-length")) == (200, b"", "0")
        path = (await t.value("query", "file", id=file))["url"].partition(f":{t.server.sockets.port}")[2]
        ranged = await t.server.send(path, headers={"range": "bytes=0-4"}, api=True)
        assert (ranged.status, ranged.header("content-range")) == (200, None)

    uploading(tmp_path, story)


def test_a_body_in_chunks(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (b"hello ", b"pyconvex")) + b"0\r\n\r\n"
        reply = await t.send(await t.target(), chunked, transfer_encoding="chunked")
        assert (await t.download(reply.json["storageId"])).body == CONTENT

    uploading(tmp_path, story)


def test_the_digest_is_checked(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        target = await t.target()
        other = base64.b64encode(bytes(32)).decode()
        reply = await t.send(target, digest=f"sha-256={other}")
        assert (reply.status, reply.json) == (
            400,
            {"code": "Sha256Mismatch", "message": f"Sha256 mismatch. Expected: {other} Actual: {DIGEST}"},
        )
        assert t.left() == []
        assert (await t.send(target, digest=f"sha-256={DIGEST}")).status == 200

    uploading(tmp_path, story)


BAD_DIGESTS = ["", "nonsense", f"SHA-256={DIGEST}", f"sha-512={DIGEST}", DIGEST, "sha-256=abc", f"sha-256={'é' * 40}"]


@pytest.mark.parametrize(
    "digest", [*BAD_DIGESTS, f"sha-256={DIGEST}, md5=x", "sha-256=" + hashlib.sha256().hexdigest()]
)
def test_digests_that_say_nothing(tmp_path: Path, digest: str) -> None:
    async def story(t: Uploads) -> None:
        target = await t.target()
        assert await t.refused(target, digest=digest) == (400, "BadHeader")
        assert (await t.send(target, digest=digest)).json["message"].startswith("Bad header for digest: ")

    uploading(tmp_path, story)


BAD_TOKENS: dict[str, Callable[[str], str]] = {
    "none": lambda target: target.partition("?")[0],
    "empty": lambda target: target.partition("=")[0] + "=",
    "garbage": lambda target: target.partition("=")[0] + "=garbage%00%ff",
    "cut": lambda target: target[:-4],
    "longer": lambda target: target + "AAAA",
    "changed": lambda target: target[:-1] + ("A" if target[-1] != "A" else "B"),
    "a later hour": lambda target: target.replace("token=AA", "token=AB"),
    "twice": lambda target: target.replace("token=", "token=x&token="),
}


@pytest.mark.parametrize("case", BAD_TOKENS)
def test_tokens_that_nobody_was_given(tmp_path: Path, case: str) -> None:
    async def story(t: Uploads) -> None:
        target = await t.target()
        forged = BAD_TOKENS[case](target)
        assert forged != target
        assert await t.refused(forged) == (401, "StorageTokenInvalid")
        assert (await t.send(target)).status == 200

    uploading(tmp_path, story)


def test_a_token_of_another_deployment(tmp_path: Path) -> None:
    targets: list[str] = []

    async def first(t: Uploads) -> None:
        targets.append(await t.target())

    async def second(t: Uploads) -> None:
        assert await t.refused(targets[0]) == (401, "StorageTokenInvalid")

    uploading(tmp_path / "one", first)
    uploading(tmp_path / "two", second)


def test_a_token_outlives_a_restart(tmp_path: Path) -> None:
    targets: list[str] = []

    async def before(t: Uploads) -> None:
        targets.append(await t.target())

    async def after(t: Uploads) -> None:
        assert (await t.send(targets[0])).status == 200

    uploading(tmp_path, before)
    uploading(tmp_path, after)


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        target = await t.target()
        assert await t.refused(target, bytes(1001)) == (413, "RequestTooLarge")
        chunked = b"3e9\r\n" + bytes(1001) + b"\r\n0\r\n\r\n"
        assert await t.refused(target, chunked, transfer_encoding="chunked") == (413, "RequestTooLarge")
        assert (await t.send(target, bytes(1000))).status == 200

    uploading(tmp_path, story, limits=Limits(upload_bytes=1000))


async def begin(t: Uploads, announced: int, sent: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload that has not come to its end."""
    reader, writer = await t.server.connect(api=True)
    target = await t.target()
    writer.write(f"POST {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {announced}\r\n\r\n".encode() + bytes(sent))
    return reader, writer


def test_a_client_that_leaves_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        _, writer = await begin(t, 10_000_000, 3_000_000)
        await t.server.until(lambda: any(path.stat().st_size for path in t.left()))
        writer.transport.abort()
        await t.server.until(lambda: t.left() == [])
        assert await t.value("query", "files") == []

    uploading(tmp_path, story)


def test_an_upload_takes_no_longer_than_its_limit(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        reader, writer = await begin(t, 10, 5)
        reply = await read_reply(reader, "POST")
        assert (reply.status, reply.json["code"]) == (408, "UploadTimedOut")
        assert "upload_seconds (0.2 s)" in reply.json["message"]
        assert t.left() == []
        writer.transport.abort()

    uploading(tmp_path, story, limits=Limits(upload_seconds=0.2))


@pytest.mark.parametrize("code", ["DiskFailed", "StorageUnreachable", "BucketMissing", "BucketRefused"])
def test_a_storage_that_fails_is_503_and_says_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    async def story(t: Uploads) -> None:
        file = (await t.send(await t.target())).json["storageId"]
        path = (await t.value("query", "file", id=file))["url"].partition(f":{t.server.sockets.port}")[2]

        async def fail(*_: object, **__: object) -> None:
            raise FileStorageFailed(code, "s3://secret-bucket at http://10.0.0.1 refuses")

        for method in ("put", "open"):
            monkeypatch.setattr(t.server.host.deployment.files, method, fail)
        replies = [await t.send(await t.target()), await t.server.send(path, api=True)]
        assert [(reply.status, reply.json["code"]) for reply in replies] == [(503, code)] * 2
        assert not any("secret" in reply.text or "10.0.0.1" in reply.text for reply in replies)

    uploading(tmp_path, story)


def test_the_preflight_of_a_page(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        asked = {
            "origin": "https://my.site",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,digest",
        }
        reply = await t.server.send(await t.target(), method="OPTIONS", headers=asked, api=True)
        expected = {
            "access-control-allow-origin": "https://my.site",
            "access-control-allow-credentials": "true",
            "access-control-allow-headers": "content-type,digest",
            "access-control-allow-methods": "GET,POST,OPTIONS,PATCH,DELETE,PUT",
            "access-control-max-age": "86400",
        }
        assert (reply.status, reply.body) == (200, b"")
        assert expected.items() <= dict(reply.headers).items()
        refused = await t.send("/api/storage/upload", origin="https://my.site")
        assert (refused.status, refused.header("access-control-allow-origin")) == (401, "https://my.site")

    uploading(tmp_path, story)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods(tmp_path: Path, method: str) -> None:
    async def story(t: Uploads) -> None:
        reply = await t.server.send(await t.target(), method=method, body=b"x" if method == "PUT" else b"", api=True)
        assert reply.status == 405
        assert t.left() == []

    uploading(tmp_path, story)


def test_uploads_are_on_the_api_address_only(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        assert (await t.server.send(await t.target(), method="POST", body=CONTENT)).status == 404

    uploading(tmp_path, story)


def test_many_uploads_at_once(tmp_path: Path) -> None:
    async def story(t: Uploads) -> None:
        target = await t.target()
        contents = [str(number).encode() * 10_000 for number in range(24)]
        replies = await asyncio.gather(*(t.send(target, content) for content in contents))
        loaded = await asyncio.gather(*(t.download(json.loads(reply.body)["storageId"]) for reply in replies))
        assert [reply.body for reply in loaded] == contents

    uploading(tmp_path, story)
