"""`ctx.storage` (https://docs.convex.dev/file-storage)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from pyconvex.engine.database.absent import Explains
from pyconvex.engine.files.stored_files import delete_file, file_record, keep_file
from pyconvex.engine.files.upload_urls import upload_url_of_action, upload_url_of_mutation
from pyconvex.errors import DeveloperError
from pyconvex.files.storage import FileMissing, Sha256Mismatch
from pyconvex.functions.fetch.blob import Blob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pyconvex.engine.actions import ActionRun
    from pyconvex.engine.answers import Answer
    from pyconvex.engine.files.stored_files import FileRecord
    from pyconvex.engine.services import Services
    from pyconvex.engine.transactions import Run
    from pyconvex.files.storage import FileStorage
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

T = TypeVar("T")

DIGEST_BYTES: Final = 32

_ONLY_IN_ACTIONS: Final = {
    "store": "Only actions can store files: make this function an action, or let the client upload the file to a URL "
    "of `ctx.storage.generate_upload_url()`.",
    "get": "Only actions can read files: use `ctx.storage.get_url(id)`, or make this function an action.",
}
_NOT_IN_QUERIES: Final = {
    "generate_upload_url": "Queries cannot generate upload URLs: make this function a mutation.",
    "delete": "Queries cannot delete files: make this function a mutation.",
}


class StorageReader(Explains):
    """`ctx.storage` of a query."""

    __slots__ = ("_run",)
    _absent: ClassVar = {**_ONLY_IN_ACTIONS, **_NOT_IN_QUERIES}

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
    _absent: ClassVar = _ONLY_IN_ACTIONS

    def generate_upload_url(self) -> Answer[str]:
        """A URL that whoever has it may POST files to, for an hour, once the mutation is committed."""
        run = self._run
        work = upload_url_of_mutation(run.execution.services, run.transaction)
        return run.read("ctx.storage.generate_upload_url", work)  # one that is forgotten does no harm

    def delete(self, id: str, /) -> Answer[None]:
        """Deletes the file with the transaction. Raises `DeveloperError` `StorageIdNotFound`."""
        return self._run.write("ctx.storage.delete", self._delete(id))

    async def _delete(self, id: str) -> None:
        execution = self._run.execution
        deleted = await delete_file(self._run.transaction, id)
        execution.after_commit.append(lambda: execution.services.removals.remove(deleted.key))


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

    def generate_upload_url(self) -> Awaitable[str]:
        """A URL that whoever has it may POST files to, for an hour."""
        return self._run.operation("storage.generateUploadUrl", lambda: upload_url_of_action(self._services))

    def get(self, id: str, /) -> Awaitable[Blob | None]:
        """The file with its content type, read when its content is asked for; None when there is none."""
        return self._run.operation("storage.get", lambda: self._get(id))

    def store(self, blob: Blob, /, *, sha256: str | None = None) -> Awaitable[str]:
        """Stores a file, durably, and answers its id; a failure of the action later on does not remove it.

        Args:
            sha256: the digest that the content must have, in hex or base64.

        Raises:
            DeveloperError: `Sha256Mismatch`, `InvalidDigest`; `NotABlob` for anything but a Blob.
            FileStorageFailed: the files cannot be reached now, or the disk is full.
        """
        return self._run.operation("storage.store", lambda: store_blob(self._services, blob, sha256))

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
            found = await file_record(transaction, id, "storage.get")
        return None if found is None else blob_of(self._services.files, found)

    async def _delete(self, id: str) -> None:
        deleted = (await self._services.store.mutate(lambda transaction: delete_file(transaction, id))).value
        await self._services.removals.remove(deleted.key)


async def store_blob(services: Services, blob: object, sha256: str | None) -> str:
    """See `StorageActionWriter.store`."""
    content = checked_blob(blob)
    expected = None if sha256 is None else digest_of(sha256)
    known = content.known()
    source = content.stream() if known is None else known
    try:
        return await keep_file(services, source, content_type=content.type, sha256=expected)
    except Sha256Mismatch as error:
        raise DeveloperError(error.code, error.message) from None


def checked_blob(blob: object) -> Blob:
    """Raises `DeveloperError` `NotABlob` for anything but a Blob."""
    if isinstance(blob, Blob):
        return blob
    raise DeveloperError(
        "NotABlob",
        f"store() expects a Blob, got {type(blob).__name__}",
        hint='Wrap bytes as `Blob([data], type="image/png")`.',
    )


def blob_of(files: FileStorage, found: FileRecord) -> Blob:
    """The content of a stored file, to be read when it is asked for."""

    async def opened(start: int, stop: int) -> AsyncIterator[bytes]:
        try:
            chunks = await files.open(found.key, start=start, stop=stop)
        except FileMissing:
            message = f"the file {found.storage_id} was deleted before it was read"
            raise DeveloperError("StorageIdNotFound", message) from None
        async for chunk in chunks:
            yield chunk

    return Blob.stored(found.size, opened, type=found.content_type or "")


def digest_of(text: str) -> bytes:
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


async def _url(services: Services, transaction: Transaction, id: str) -> str | None:
    found = await file_record(transaction, id, "storage.get_url")
    return None if found is None else f"{services.urls.cloud}/api/storage/{found.key}"


async def _metadata(transaction: Transaction, id: str) -> dict[str, Value] | None:
    found = await file_record(transaction, id, "storage.get_metadata")
    if found is None:
        return None
    return {
        "storageId": found.storage_id,
        "sha256": found.sha256.hex(),
        "size": float(found.size),
        "contentType": found.content_type,
    }
