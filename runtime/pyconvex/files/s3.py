"""Stored files in a bucket of Amazon S3, or of whatever else speaks its protocol (MinIO, R2, Garage, …).

Credentials come from where AWS's own tools have them: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a web identity,
the container's or the machine's role; never from a URL. Give the bucket a lifecycle rule that ends multipart uploads
after a day or so: what a process that was killed had uploaded of a file is not seen by anybody, but paid for
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html).

Imported only for a deployment that uses it; needs obstore (`pip install 'pyconvex[s3]'`).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from .location import Bucket
from .s3_errors import failure
from .storage import KEY, Content, FileMissing, FileStorageFailed, StoredFile, checked

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Config

PART_BYTES: Final = 8 * 2**20
PARTS_AT_ONCE: Final = 2
"""So an upload has some 24 MiB in memory, however large it is."""
PARTS_MAX: Final = 10_000
"""S3 takes no more for one file (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""
PIECE_BYTES: Final = 1024 * 1024
READ_BYTES: Final = 256 * 1024
LISTED: Final = 500

_CLIENT: "ClientConfig" = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=60)}
_READING: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(days=7),  # a download takes as long as its client does
}
_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}


class S3Files:
    """Files under their keys in a bucket, below a prefix.

    Args:
        folder: goes between the bucket's prefix and the keys, so that deployments may share both.
    """

    everywhere = True

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self._bucket = bucket
        prefix = "/".join(part for part in (bucket.prefix, folder) if part)
        self._store = _client(bucket, prefix, _CLIENT)
        self._reading = _client(bucket, prefix, _READING)

    async def check(self) -> None:
        """See that the bucket is there and lets us in.

        Raises:
            FileStorageFailed: it is not, or does not.
        """
        try:
            await anext(self._listed(1), None)
        except (BaseError, OSError) as error:
            raise self._failure(error) from error

    async def put(self, key: str, content: bytes | AsyncIterable[bytes], *, sha256: bytes | None = None) -> StoredFile:
        """See `FileStorage`. Large files go in parts.

        Raises:
            FileStorageFailed: also `FileTooLarge`, for one of more than 78 GiB.
        """
        upload = _Upload(Content(checked(key), content, sha256))
        uploading = asyncio.create_task(self._upload(key, upload))
        try:
            return await asyncio.shield(uploading)
        except asyncio.CancelledError:
            upload.stop()  # to drop it would leave the parts that are there to nobody
            [ended] = await asyncio.gather(uploading, return_exceptions=True)
            if isinstance(ended, StoredFile):  # all of it was on its way already
                with suppress(FileStorageFailed):
                    await self.delete(key)
            raise

    async def open(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See `FileStorage`."""
        checked(key)
        if stop is not None and start >= stop:
            return _nothing()
        options: GetOptions = {}
        if start or stop is not None:
            options = {"range": {"offset": start} if stop is None else (start, stop)}
        try:
            found = await obstore.get_async(self._reading, key, options=options)
        except (BaseError, OSError) as error:
            raise self._failure(error, key) from error
        return self._chunks(found)

    async def delete(self, key: str) -> None:
        """See `FileStorage`."""
        with suppress(FileMissing):
            try:
                await obstore.delete_async(self._store, checked(key))
            except (BaseError, OSError) as error:
                raise self._failure(error, key) from error

    async def older_than(self, at_ms: float) -> AsyncIterator[Sequence[str]]:
        """See `FileStorage`. The bucket's clock counts: a large file is as old as its first byte there."""
        try:
            async for listed in self._listed(LISTED):
                yield [
                    each["path"]
                    for each in listed
                    if KEY.fullmatch(each["path"]) and each["last_modified"].timestamp() * 1000 < at_ms
                ]
        except (BaseError, OSError) as error:
            raise self._failure(error) from error

    async def _upload(self, key: str, upload: "_Upload") -> StoredFile:
        try:
            whole = await upload.whole_if_small()
            if whole is not None:
                await obstore.put_async(self._store, key, whole, use_multipart=False)
            else:
                await obstore.put_async(
                    self._store, key, upload, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE, use_multipart=True
                )
        except (BaseError, OSError) as error:
            if upload.error is not None:
                raise
            raise self._failure(error) from error
        return upload.content.stored()

    def _listed(self, at_once: int) -> "AsyncIterator[Sequence[ObjectMeta]]":
        # Its other kind of result needs a library that is not here, so its type is not wholly known.
        return obstore.list(self._store, chunk_size=at_once)  # pyright: ignore[reportUnknownMemberType]

    async def _chunks(self, found: "obstore.GetResult") -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in found.stream(min_chunk_size=READ_BYTES):
                yield bytes(chunk)
        except (BaseError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception, key: str | None = None) -> FileStorageFailed | FileMissing:
        return failure(error, self._bucket, key)


class _Upload:
    """A file's content as obstore wants it: what fits one request, or an iterator of pieces."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.error: Exception | None = None
        """What the content itself failed with; nothing of it is kept then."""
        self._pieces = content.pieces(PIECE_BYTES)
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._reading: asyncio.Task[bytes | None] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Nobody wants the file any more."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()

    async def whole_if_small(self) -> bytes | None:
        """All of it when it is no larger than a part; otherwise None, and iterating gives all of it."""
        while self._bytes <= PART_BYTES:
            try:
                self._waiting.append(await self._next())
            except StopAsyncIteration:
                return b"".join(self._waiting)
        return None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return self._waiting.pop(0) if self._waiting else await self._next()

    async def _next(self) -> bytes:
        """Raises `StopAsyncIteration` at the end, if all of it is as it should be."""
        if self._stopped:
            raise _Stopped
        self._reading = asyncio.create_task(self._read())
        try:
            piece = await self._reading
        except asyncio.CancelledError:
            raise _Stopped from None  # as an error, so that what was sent is taken back
        except Exception as error:
            self.error = error
            raise
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def _read(self) -> bytes | None:
        """The next piece. Before the last part makes it a file, it is seen whether it is the right one."""
        piece = await anext(self._pieces, None)
        if piece is None:
            self.content.stored()
            return None
        await asyncio.to_thread(self.content.take, piece)
        self._bytes += sum(map(len, piece))
        if self._bytes > PART_BYTES * PARTS_MAX:
            raise FileStorageFailed("FileTooLarge", f"a file in a bucket has at most {PART_BYTES * PARTS_MAX} bytes")
        return b"".join(piece)


class _Stopped(Exception):
    pass


def _client(bucket: Bucket, prefix: str, client: "ClientConfig") -> S3Store:
    config: S3Config = {"disable_bulk_delete": True}  # few but AWS can do it
    if bucket.endpoint is not None:
        config["endpoint"] = bucket.endpoint
        if bucket.endpoint.startswith("http://"):
            client = {**client, "allow_http": True}
    if bucket.region is not None:
        config["region"] = bucket.region
    return S3Store(bucket.name, prefix=prefix, config=config, client_options=client, retry_config=_RETRIES)


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield
