"""Stored files as documents: one of `_storage`, which users read with `ctx.db.system`, and one of `_files`.

The id of the latter is the UUID in the file's URL, and the key of its bytes in the file storage: who knows the id of a
file does not know its address, and whether bytes belong to a file is one look into the database.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.files.storage import key_bytes, new_key
from pyconvex.store.schema.catalog import EMPTY_CATALOG, FILES, STORAGE
from pyconvex.values.ids import DocumentId, InvalidId, decode_id, encode_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from pyconvex.engine.services import Services
    from pyconvex.files.storage import StoredFile
    from pyconvex.store.store import Store
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

_FILES_NUMBER = EMPTY_CATALOG.system(FILES).number


class FileRecord(Struct, frozen=True):
    """A stored file: its document in `_storage`, and what is needed to serve it. `size` is in bytes."""

    storage_id: str
    key: str
    """The UUID in its URL, and where the file storage has it."""
    sha256: bytes
    size: int
    content_type: str | None


async def keep_file(
    services: Services,
    content: bytes | AsyncIterable[bytes],
    *,
    content_type: str | None,
    sha256: bytes | None = None,
    seconds: float | None = None,
) -> str:
    """Store a file, durably, and answer the id of its document.

    Args:
        sha256: the digest that it must have.
        seconds: how long its bytes may take to arrive.

    Raises:
        Sha256Mismatch: it has another digest; nothing of it was kept, as with all of these.
        TimeoutError: it took too long.
        FileStorageFailed: the bytes cannot be kept now.
        StoreFailed: the document cannot be kept now.
    """
    async with asyncio.timeout(seconds):
        stored = await services.files.put(new_key(services.clock), content, sha256=sha256)
    # Should this fail, it may have been committed all the same. If it was not, the bytes are orphans: they are swept.
    return (await services.store.mutate(lambda transaction: add_file(transaction, stored, content_type))).value


async def find_file(store: Store, address: str) -> FileRecord:
    """The file at `/api/storage/<address>`.

    Raises `RequestRefused`: 400 `InvalidStoragePath` for what is no UUID, 404 `FileNotFound`.
    """
    try:
        internal = uuid.UUID(address).bytes
    except ValueError:
        message = f"Invalid storage path: {address[:100]!r} is not a UUID."
        raise RequestRefused(400, "InvalidStoragePath", message) from None
    async with store.snapshot() as transaction:
        found = await _at(transaction, internal)
    if found is None:
        raise not_found(address)
    return found


def not_found(address: str) -> RequestRefused:
    return RequestRefused(404, "FileNotFound", f"File {address} not found")


async def is_kept(transaction: Transaction, key: str) -> bool:
    """Whether bytes under that key belong to a file."""
    return await transaction.get(DocumentId(_FILES_NUMBER, key_bytes(key))) is not None


async def add_file(transaction: Transaction, stored: StoredFile, content_type: str | None) -> str:
    """Write down a file whose bytes are stored; answers its id. An empty type is none."""
    file: dict[str, Value] = {"sha256": base64.b64encode(stored.sha256).decode(), "size": float(stored.size)}
    if content_type:
        file["contentType"] = content_type
    internal = DocumentId(_FILES_NUMBER, key_bytes(stored.key))
    storage_id = await transaction.insert(STORAGE, {**file, "fileId": encode_id(internal)})
    transaction.insert_twin(FILES, internal, {**file, "storageId": storage_id})
    return storage_id


async def delete_file(transaction: Transaction, id: object) -> FileRecord:
    """Delete both documents of a file. Raises `DeveloperError` `StorageIdNotFound`, `InvalidArgument`."""
    found = await file_record(transaction, id, "storage.delete")
    if found is None:
        raise DeveloperError("StorageIdNotFound", f"storage id {id} not found")
    await transaction.delete(decode_id(found.storage_id))
    await transaction.delete(DocumentId(_FILES_NUMBER, key_bytes(found.key)))
    return found


async def file_record(transaction: Transaction, id: object, method: str) -> FileRecord | None:
    """The file of that id: the one of its document, or the UUID of its URL, which older code has.

    Raises `DeveloperError` `InvalidArgument`, which names the `method` of `ctx` that was called.
    """
    document = _storage_id(transaction, id, method)
    if isinstance(document, bytes):
        return await _at(transaction, document)
    found = await transaction.get(document)
    if found is None:
        return None
    return await _at(transaction, decode_id(cast("str", found["fileId"])).internal)


async def _at(transaction: Transaction, internal: bytes) -> FileRecord | None:
    file = await transaction.get(DocumentId(_FILES_NUMBER, internal))
    if file is None:
        return None
    content_type = file.get("contentType")
    return FileRecord(
        storage_id=cast("str", file["storageId"]),
        key=str(uuid.UUID(bytes=internal)),
        sha256=base64.b64decode(cast("str", file["sha256"])),
        size=int(cast("float", file["size"])),
        content_type=content_type if isinstance(content_type, str) else None,
    )


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
