"""`ctx.storage` (https://docs.convex.dev/file-storage), and the files behind `/api/storage/<uuid>`.

A stored file is a document of `_storage`, which users read with `ctx.db.system`, and one of `_files`, which knows
where the bytes are. The id of the latter is the UUID in the file's URL: who knows the id of a file does not know its
address.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from msgspec import Struct

from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.functions.fetch.blob import Blob
from pyconvex.store.catalog import FILES, STORAGE
from pyconvex.values.ids import DocumentId, InvalidId, decode_id

if TYPE_CHECKING:
    from pyconvex.engine.actions import ActionRun
    from pyconvex.engine.answers import Answer
    from pyconvex.engine.services import Services
    from pyconvex.engine.transactions import Run
    from pyconvex.files.storage import FileStorage, StoredFile
    from pyconvex.store.store import Store
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

T = TypeVar("T")

DIGEST_BYTES: Final = 32


class FileRecord(Struct, frozen=True):
    """A stored file: its document in `_storage`, and what is needed to serve it. `size` is in bytes."""

    storage_id: str
    address: str
    """The UUID in its URL."""
    key: str
    """Where the file storage has it."""
    sha256: bytes
    size: int
    content_type: str | None


async def find_file(store: Store, address: str) -> FileRecord:
    """The file at `/api/storage/<address>`.

    Raises `RequestRefused`: 400 `InvalidStoragePath` for what is no UUID, 404 `FileNotFound`.
    """
    try:
        internal = uuid.UUID(address).bytes
    except ValueError:
        raise RequestRefused(
            400, "InvalidStoragePath", f"Invalid storage path: {address[:100]!r} is not a UUID."
        ) from None
    async with store.snapshot() as transaction:
        found = await _at_address(transaction, internal)
    if found is None:
        raise RequestRefused(404, "FileNotFound", f"File {address} not found")
    return found


class StorageReader:
    """`ctx.storage` of a query."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    def get_url(self, id: str, /) -> Answer[str | None]:
        """Where the file can be downloaded by anybody who has the URL; None when there is no such file."""
        return self._run.read("ctx.storage.get_url", _url(self._run.execution.services, self._run.transaction, id))

    def get_metadata(self, id: str, /) -> Answer[dict[str, Value] | None]:
        """`{"storageId", "sha256" (hex), "size", "contentType"}`, or None when there is no such file."""
        return self._run.read("ctx.storage.get_metadata", _metadata(self._run.transaction, id))


class StorageWriter(StorageReader):
    """`ctx.storage` of a mutation."""

    __slots__ = ()

    def delete(self, id: str, /) -> Answer[None]:
        """Deletes the file with the transaction. Raises `DeveloperError` `StorageIdNotFound`."""
        return self._run.write("ctx.storage.delete", self._delete(id))

    async def _delete(self, id: str) -> None:
        execution = self._run.execution
        deleted = await _delete(self._run.transaction, id)
        execution.after_commit.append(lambda: execution.services.files.delete(deleted.key))


class StorageActionWriter:
    """`ctx.storage` of an action."""

    __slots__ = ("_run", "_services")

    def __init__(self, run: ActionRun) -> None:
        self._run = run
        self._services = run.execution.services

    def get_url(self, id: str, /) -> Awaitable[str | None]:
        """Where the file can be downloaded by anybody who has the URL; None when there is no such file."""
        services = self._services
        return self._read("storage.getUrl", lambda transaction: _url(services, transaction, id))

    def get_metadata(self, id: str, /) -> Awaitable[dict[str, Value] | None]:
        """`{"storageId", "sha256" (hex), "size", "contentType"}`, or None when there is no such file."""
        return self._read("storage.getMetadata", lambda transaction: _metadata(transaction, id))

    def get(self, id: str, /) -> Awaitable[Blob | None]:
        """The file with its content type, read when its content is asked for; None when there is none."""
        return self._run.operation("storage.get", lambda: self._get(id))

    def store(self, blob: Blob, /, *, sha256: str | None = None) -> Awaitable[str]:
        """Stores a file, durably, and answers its id; a failure of the action later on does not remove it.

        Args:
            sha256: the digest that the content must have, in hex or base64.

        Raises:
            DeveloperError: `Sha256Mismatch`, `InvalidDigest`; `NotABlob` for anything but a Blob.
        """
        return self._run.operation("storage.store", lambda: self._store(blob, sha256))

    def delete(self, id: str, /) -> Awaitable[None]:
        """Deletes the file at once. Raises `DeveloperError` `StorageIdNotFound`."""
        return self._run.operation("storage.delete", lambda: self._delete(id))

    def _read(self, name: str, read: Callable[[Transaction], Awaitable[T]]) -> Awaitable[T]:
        async def work() -> T:
            async with self._services.store.snapshot() as transaction:
                return await read(transaction)

        return self._run.operation(name, work)

    async def _get(self, id: str) -> Blob | None:
        async with self._services.store.snapshot() as transaction:
            found = await _record(transaction, id, "storage.get")
        return None if found is None else _blob(self._services.files, found)

    async def _store(self, blob: object, sha256: str | None) -> str:
        if not isinstance(blob, Blob):
            raise DeveloperError(
                "NotABlob",
                f"store() expects a Blob, got {type(blob).__name__}",
                hint='Wrap bytes as `Blob([data], type="image/png")`.',
            )
        expected = None if sha256 is None else _digest(sha256)
        known = blob.known()
        stored = await self._services.files.put(blob.stream() if known is None else known)
        try:
            if expected is not None and expected != stored.sha256:
                raise DeveloperError(
                    "Sha256Mismatch",
                    f"Sha256 mismatch. Expected: {_base64(expected)} Actual: {_base64(stored.sha256)}",
                )
            return (await self._services.store.mutate(lambda transaction: _add(transaction, stored, blob.type))).value
        except BaseException:
            await self._services.files.delete(stored.key)
            raise

    async def _delete(self, id: str) -> None:
        deleted = (await self._services.store.mutate(lambda transaction: _delete(transaction, id))).value
        await self._services.files.delete(deleted.key)


async def _add(transaction: Transaction, stored: StoredFile, content_type: str) -> str:
    file: dict[str, Value] = {"sha256": _base64(stored.sha256), "size": float(stored.size)}
    if content_type:
        file["contentType"] = content_type
    address = await transaction.insert(FILES, {**file, "key": stored.key})
    storage_id = await transaction.insert(STORAGE, {**file, "fileId": address})
    await transaction.patch(decode_id(address), {"storageId": storage_id})
    return storage_id


async def _delete(transaction: Transaction, id: str) -> FileRecord:
    found = await _record(transaction, id, "storage.delete")
    if found is None:
        raise DeveloperError("StorageIdNotFound", f"storage id {id} not found")
    await transaction.delete(decode_id(found.storage_id))
    await transaction.delete(_file_id(transaction, uuid.UUID(found.address).bytes))
    return found


async def _url(services: Services, transaction: Transaction, id: str) -> str | None:
    found = await _record(transaction, id, "storage.get_url")
    return None if found is None else f"{services.urls.cloud}/api/storage/{found.address}"


async def _metadata(transaction: Transaction, id: str) -> dict[str, Value] | None:
    found = await _record(transaction, id, "storage.get_metadata")
    if found is None:
        return None
    return {
        "storageId": found.storage_id,
        "sha256": found.sha256.hex(),
        "size": float(found.size),
        "contentType": found.content_type,
    }


async def _record(transaction: Transaction, id: object, method: str) -> FileRecord | None:
    """The file of that id: the one of its document, or the UUID of its URL, which older code has."""
    document = _storage_id(transaction, id, method)
    if isinstance(document, bytes):
        return await _at_address(transaction, document)
    found = await transaction.get(document)
    if found is None:
        return None
    return await _at_address(transaction, decode_id(cast("str", found["fileId"])).internal)


async def _at_address(transaction: Transaction, internal: bytes) -> FileRecord | None:
    file = await transaction.get(_file_id(transaction, internal))
    if file is None:
        return None
    content_type = file.get("contentType")
    return FileRecord(
        storage_id=cast("str", file["storageId"]),
        address=str(uuid.UUID(bytes=internal)),
        key=cast("str", file["key"]),
        sha256=base64.b64decode(cast("str", file["sha256"])),
        size=int(cast("float", file["size"])),
        content_type=content_type if isinstance(content_type, str) else None,
    )


def _file_id(transaction: Transaction, internal: bytes) -> DocumentId:
    number = transaction.table_number(FILES)
    assert number is not None, "system tables are always there"
    return DocumentId(number, internal)


def _storage_id(transaction: Transaction, id: object, method: str) -> DocumentId | bytes:
    if not isinstance(id, str):
        raise _invalid(method, f"expected string but got '{type(id).__name__}'")
    try:
        document = decode_id(id)
    except InvalidId as error:
        try:
            return uuid.UUID(id).bytes
        except ValueError:
            raise _invalid(method, error.message) from None
    table = transaction.table_name(document.table)
    if table != STORAGE:
        raise _invalid(method, f'expected to be an Id<"{STORAGE}">, got Id<"{table}"> instead.')
    return document


def _invalid(method: str, why: str) -> DeveloperError:
    return DeveloperError("InvalidArgument", f"Invalid argument `storageId` for `{method}`: {why}")


def _blob(files: FileStorage, found: FileRecord) -> Blob:
    async def opened(start: int, stop: int) -> AsyncIterator[bytes]:
        async for chunk in await files.open(found.key, start=start, stop=stop):
            yield chunk

    return Blob.stored(found.size, opened, type=found.content_type or "")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _digest(text: str) -> bytes:
    """A SHA-256 digest in hex or base64, as a `Digest` header has it.

    Raises `DeveloperError` `InvalidDigest`.
    """
    try:
        digest = bytes.fromhex(text) if len(text) == 2 * DIGEST_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise DeveloperError("InvalidDigest", f"{text[:100]!r} is no SHA-256 digest: write it in hex or base64")
    return digest
