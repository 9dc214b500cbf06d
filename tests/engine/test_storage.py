"""`ctx.storage`: files of actions, their documents, their addresses."""

import asyncio
import base64
import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine.files.file_removals import AT_ONCE
from pyconvex.engine.files.stored_files import find_file
from pyconvex.engine.files.upload_urls import check_upload
from pyconvex.errors import RequestRefused
from pyconvex.files.storage import FileStorageFailed
from pyconvex.store.persistence import StoreFailed
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

FILES = """
@action
async def store(ctx, text: str, type: str = "", sha256: str | None = None):
    return await ctx.storage.store(Blob([text], type=type), sha256=sha256)

@action
async def store_bytes(ctx):
    return await ctx.storage.store(b"raw")

@action
async def get(ctx, id: str):
    blob = await ctx.storage.get(id)
    return None if blob is None else [await blob.text(), blob.type, blob.size]

@action
async def act(ctx, what: str, id: object):
    return await getattr(ctx.storage, what)(id)

@query
async def read(ctx, what: str, id: object):
    return await getattr(ctx.storage, what)(id)

@mutation
async def write(ctx, what: str, id: object):
    return await getattr(ctx.storage, what)(id)

@query
async def document(ctx, id: str):
    return await ctx.db.system.get("_storage", id)

@query
async def documents(ctx):
    return await ctx.db.system.query("_storage").collect()

@mutation
async def delete(ctx, id: str, fail: bool = False):
    await ctx.storage.delete(id)
    if fail:
        raise ValueError("kept")

@mutation
async def delete_all(ctx, ids: list[str]):
    for id in ids:
        await ctx.storage.delete(id)

@mutation
async def delete_in_a_failed_child(ctx, id: str):
    try:
        await ctx.run_mutation(api.m.delete, id=id, fail=True)
    except ValueError:
        pass
    return await ctx.storage.get_url(id)

@mutation
async def delete_and_look(ctx, id: str):
    await ctx.storage.delete(id)
    return [await ctx.storage.get_url(id), await ctx.storage.get_metadata(id)]

@mutation
async def delete_twice(ctx, id: str):
    await ctx.storage.delete(id)
    await ctx.storage.delete(id)

@mutation
async def upload_url(ctx):
    return await ctx.storage.generate_upload_url()

@action
async def upload_url_of_action(ctx):
    return await ctx.storage.generate_upload_url()

@action
async def get_after_delete(ctx, id: str):
    blob = await ctx.storage.get(id)
    await ctx.storage.delete(id)
    await asyncio.sleep(0.05)
    return await blob.text()

@action
async def store_again(ctx, id: str):
    blob = await ctx.storage.get(id)
    return await ctx.storage.store(Blob([blob.slice(1, 3), "-", blob], type="x/y"))

@action
async def fails_afterwards(ctx):
    raise ConvexError(await ctx.storage.store(Blob(["x"])))
""".replace("id: object", "id")

DIGEST = hashlib.sha256(b"hello").digest()


def stored_files(t: Deployment) -> list[Path]:
    folder = t.root / "files"
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_stored_and_read_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store", text="hello", type="text/plain")
            assert await t.value("get", id=file) == ["hello", "text/plain", 5]
            document = await t.value("document", id=file)
            assert document == {
                "_id": file,
                "_creationTime": document["_creationTime"],
                "sha256": base64.b64encode(DIGEST).decode(),
                "size": 5.0,
                "contentType": "text/plain",
            }
            assert await t.value("documents") == [document]
            for name in ("act", "read"):
                assert await t.value(name, what="get_metadata", id=file) == {
                    "storageId": file,
                    "sha256": DIGEST.hex(),
                    "size": 5.0,
                    "contentType": "text/plain",
                }

    asyncio.run(test())


def test_an_unknown_type_is_absent_in_the_document_and_null_in_metadata(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store", text="hello")
            assert "contentType" not in await t.value("document", id=file)
            assert (await t.value("read", what="get_metadata", id=file))["contentType"] is None
            assert await t.value("get", id=file) == ["hello", "", 5]

    asyncio.run(test())


def test_the_address_of_a_file_is_a_uuid_of_its_own(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            ids = [await t.value("store", text="same"), await t.value("store", text="same")]
            urls = [await t.value("read", what="get_url", id=file) for file in ids]
            assert urls == [await t.value("act", what="get_url", id=file) for file in ids]
            assert len({*ids, *urls}) == 4
            for file, url in zip(ids, urls, strict=True):
                prefix, _, address = url.rpartition("/")
                assert prefix == "http://127.0.0.1:3210/api/storage"
                found = await find_file(t.store, address)
                assert (found.storage_id, found.size, found.content_type) == (file, 4, None)
                # Older code names files by this UUID.
                assert await t.value("get", id=str(uuid.UUID(address))) == ["same", "", 4]

    asyncio.run(test())


ADDRESSES = {"nonsense": (400, "InvalidStoragePath"), str(uuid.UUID(int=7)): (404, "FileNotFound")}


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_of_nothing(tmp_path: Path, address: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            with pytest.raises(RequestRefused) as refused:
                await find_file(t.store, address)
            assert (refused.value.status, refused.value.code) == ADDRESSES[address]

    asyncio.run(test())


@pytest.mark.parametrize("digest", [DIGEST.hex(), DIGEST.hex().upper(), base64.b64encode(DIGEST).decode()])
def test_a_digest_is_taken_in_hex_and_base64(tmp_path: Path, digest: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            assert isinstance(await t.value("store", text="hello", sha256=digest), str)
            other = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
            assert await t.error("store", text="other", sha256=digest) == (
                f"Uncaught Error: Sha256 mismatch. Expected: {base64.b64encode(DIGEST).decode()} Actual: {other}"
            )
            assert len(stored_files(t)) == 1
            assert len(await t.value("documents")) == 1
            assert "is no SHA-256 digest" in await t.error("store", text="hello", sha256="abc")

    asyncio.run(test())


def test_deleting_removes_document_address_and_bytes(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            ways: list[tuple[str, dict[str, Any]]] = [("delete", {}), ("act", {"what": "delete"})]
            for name, arguments in ways:
                arguments["id"] = file = await t.value("store", text="hello")
                url = await t.value("read", what="get_url", id=file)
                await t.value(name, **arguments)
                assert await t.value("read", what="get_url", id=file) is None
                assert await t.value("get", id=file) is None
                assert await t.value("document", id=file) is None
                await t.runner.services.removals.settled()
                assert stored_files(t) == []
                with pytest.raises(RequestRefused):
                    await find_file(t.store, url.rpartition("/")[2])
                assert await t.error(name, **arguments) == f"Uncaught Error: storage id {file} not found"

    asyncio.run(test())


def test_a_failed_mutation_deletes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store", text="hello")
            assert await t.error("delete", id=file, fail=True) == "Uncaught ValueError: kept"
            assert await t.value("delete_in_a_failed_child", id=file) is not None
            assert await t.value("get", id=file) == ["hello", "", 5]

    asyncio.run(test())


def test_a_stored_file_stays_when_its_action_fails(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            failure = (await t.call("fails_afterwards")).failure
            assert failure is not None
            assert await t.value("get", id=failure.data) == ["x", "", 1]

    asyncio.run(test())


BAD: dict[str, tuple[Any, str]] = {
    "no text": (5.0, "Invalid argument `storageId` for `storage.get_url`: expected string but got 'float'"),
    "no id": ("nope", "Invalid argument `storageId` for `storage.get_url`: Unable to decode ID"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_ids(tmp_path: Path, case: str) -> None:
    given, message = BAD[case]

    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            for name in ("act", "read"):
                assert await t.error(name, what="get_url", id=given) == f"Uncaught Error: {message}"

    asyncio.run(test())


def test_store_takes_a_blob(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            assert await t.error("store_bytes") == "Uncaught Error: store() expects a Blob, got bytes"

    asyncio.run(test())


def test_upload_urls(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            urls = [await t.value(name) for name in ("upload_url", "upload_url", "upload_url_of_action")]
            assert len(set(urls)) == 3
            for url in urls:
                prefix, _, token = url.partition("?token=")
                assert prefix == "http://127.0.0.1:3210/api/storage/upload"
                await check_upload(t.runner.services, token)

    asyncio.run(test())


def test_within_its_transaction_a_deleted_file_is_gone(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store", text="hello")
            assert await t.error("delete_twice", id=file) == f"Uncaught Error: storage id {file} not found"
            assert await t.value("get", id=file) == ["hello", "", 5]
            assert await t.value("delete_and_look", id=file) == [None, None]

    asyncio.run(test())


def test_a_file_that_goes_while_it_is_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store", text="hello")
            assert await t.error("get_after_delete", id=file) == (
                f"Uncaught Error: the file {file} was deleted before it was read"
            )

    asyncio.run(test())


def test_files_may_be_made_of_files(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store_again", id=await t.value("store", text="hello"))
            assert await t.value("get", id=file) == ["el-hello", "x/y", 8]

    asyncio.run(test())


def test_many_deletions_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            delete, running, most = t.files.delete, 0, 0

            async def counted(key: str) -> None:
                nonlocal running, most
                running += 1
                most = max(most, running)
                await delete(key)
                running -= 1

            monkeypatch.setattr(t.files, "delete", counted)
            files = [await t.value("store", text="x") for _ in range(3 * AT_ONCE)]
            await t.value("delete_all", ids=files)
            await t.runner.services.removals.settled()
            assert (most, stored_files(t)) == (AT_ONCE, [])

    asyncio.run(test())


def test_a_deletion_is_done_although_its_bytes_cannot_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:

            async def fail(key: str) -> None:
                raise FileStorageFailed("StorageUnreachable", "the bucket does not answer")

            monkeypatch.setattr(t.files, "delete", fail)
            ways: list[tuple[str, dict[str, Any]]] = [("delete", {}), ("act", {"what": "delete"})]
            for name, arguments in ways:
                file = await t.value("store", text="hello")
                await t.value(name, id=file, **arguments)
                assert await t.value("read", what="get_url", id=file) is None

    asyncio.run(test())


def test_a_file_stays_whose_commit_is_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            mutate = t.store.mutate

            async def lose_the_answer(*args: Any, **named: Any) -> None:
                await mutate(*args, **named)
                raise StoreFailed("CommitUnknown", "the connection was lost")

            with monkeypatch.context() as lost:
                lost.setattr(t.store, "mutate", lose_the_answer)
                with pytest.raises(RequestRefused, match="what became of it is unknown"):
                    await t.call("store", text="hello")
            [document] = await t.value("documents")
            assert await t.value("get", id=document["_id"]) == ["hello", "", 5]

    asyncio.run(test())


def test_an_action_may_catch_that_files_cannot_be_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:

            async def fail(*_: object, **__: object) -> None:
                raise FileStorageFailed("DiskFailed", "No space left on device", hint="free some space")

            monkeypatch.setattr(t.files, "put", fail)
            assert await t.error("store", text="x") == "Uncaught FileStorageFailed: No space left on device"

    asyncio.run(test())


WHERE_ELSE = {
    ("read", "store"): "Only actions can store files",
    ("read", "get"): "Only actions can read files: use `ctx.storage.get_url(id)`",
    ("read", "delete"): "Queries cannot delete files: make this function a mutation.",
    ("read", "generate_upload_url"): "Queries cannot generate upload URLs: make this function a mutation.",
    ("write", "store"): "Only actions can store files",
    ("write", "get"): "Only actions can read files",
}


@pytest.mark.parametrize(("function", "method"), WHERE_ELSE)
def test_what_a_function_cannot_do_says_where_it_can_be_done(tmp_path: Path, function: str, method: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            message = await t.error(function, what=method, id="x")
            assert message.startswith(f"Uncaught AttributeError: {WHERE_ELSE[function, method]}")

    asyncio.run(test())
