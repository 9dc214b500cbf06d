"""Stored files over HTTP: `POST /api/storage/upload?token=…` and `GET /api/storage/<uuid>`.

The token is all that an upload needs, and the UUID the only secret that protects a file. What users stored is served
from the API's own address, so nothing of it may run as a page there.
https://docs.convex.dev/file-storage/upload-files, https://docs.convex.dev/file-storage/serve-files
"""

import base64
import logging
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import parse_qs

import msgspec

from pyconvex.engine.files.stored_files import FileRecord, find_file, keep_file, not_found
from pyconvex.engine.files.upload_urls import check_upload
from pyconvex.errors import RequestRefused
from pyconvex.files.storage import FileMissing, FileStorageFailed, Sha256Mismatch

from .asgi import BodyTooLarge, Exchange, RawHeaders
from .deployment import Deployment
from .media import JSON

PREFIX = "/api/storage/"

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_DIGEST = re.compile(r"sha-256=([A-Za-z0-9+/]{43}=)")
_CONTROL = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

_SAFE: RawHeaders = [(b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"sandbox")]
_CACHED: RawHeaders = [(b"cache-control", b"private, max-age=2592000"), (b"accept-ranges", b"bytes")]

_log = logging.getLogger("pyconvex.http")


class StorageApi:
    """The endpoints below `/api/storage/`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def upload(self, exchange: Exchange) -> None:
        """POST of a file as it is, to a URL of `ctx.storage.generate_upload_url()`.

        Raises `RequestRefused`: 401 `StorageTokenInvalid` and `StorageTokenExpired`, 400 `BadHeader` and
        `Sha256Mismatch`, 408 `UploadTimedOut`, 413 `RequestTooLarge` and `FileTooLarge`, 503 when the file cannot be
        kept now. Nothing of it is kept then, nor when the client leaves before the end.
        """
        services = self._deployment.runner.services
        await check_upload(services, parse_qs(exchange.query).get("token", [""])[0])
        seconds = self._deployment.limits.upload_seconds
        try:
            storage_id = await keep_file(
                services,
                _body(exchange, self._deployment.limits.upload_bytes),
                content_type=exchange.text_header(b"content-type"),
                sha256=_digest(exchange.text_header(b"digest")),
                seconds=seconds,
            )
        except Sha256Mismatch as error:
            raise RequestRefused(400, error.code, error.message) from error
        except FileStorageFailed as error:
            raise _refusal(error) from error
        except TimeoutError:
            message = (
                f"The upload took longer than the limit upload_seconds ({seconds:g} s), so nothing of it was kept."
            )
            raise RequestRefused(408, "UploadTimedOut", message) from None
        await exchange.respond(200, JSON, msgspec.json.encode({"storageId": storage_id}))

    async def download(self, exchange: Exchange) -> None:
        """GET and HEAD, whole or one range (RFC 9110, section 14).

        Raises `RequestRefused` 400 `InvalidStoragePath`, 404 `FileNotFound`, 503 when it cannot be read now.
        """
        file = await find_file(self._deployment.store, exchange.path.removeprefix(PREFIX))
        asked = exchange.header(b"range")
        if asked is None or file.size == 0:
            digest = b"sha-256=" + base64.b64encode(file.sha256)
            await self._send(exchange, file, 200, 0, file.size, [(b"digest", digest)])
            return
        span = _span(asked.decode("latin-1"), file.size)
        if span is None:
            await exchange.respond(416, [*_SAFE, (b"content-range", b"bytes */%d" % file.size)])
            return
        start, stop = span
        shown = b"bytes %d-%d/%d" % (start, stop - 1, file.size)
        await self._send(exchange, file, 206, start, stop, [(b"content-range", shown)])

    async def _send(
        self, exchange: Exchange, file: FileRecord, status: int, start: int, stop: int, headers: RawHeaders
    ) -> None:
        head = [*_content_type(file), (b"content-length", b"%d" % (stop - start)), *_CACHED, *_SAFE, *headers]
        if exchange.method == "HEAD":
            await exchange.start(status, head)
            await exchange.finish()
            return
        try:
            async with aclosing(await self._deployment.files.open(file.key, start=start, stop=stop)) as content:
                await exchange.start(status, head)
                async for chunk in content:
                    if exchange.body.look():
                        return
                    await exchange.write(chunk)
        except FileMissing:
            raise not_found(file.key) from None
        except FileStorageFailed as error:
            raise _refusal(error) from error  # in the middle, the length of what is missing tells the client
        await exchange.finish()


def _body(exchange: Exchange, limit: int) -> AsyncIterator[bytes]:
    """The body, up to `limit` bytes. Raises `BodyTooLarge`, at once when the client says that there is more."""
    if (exchange.content_length() or 0) > limit:
        raise BodyTooLarge(limit)

    async def checked() -> AsyncIterator[bytes]:
        size = 0
        async for chunk in exchange.body:
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(limit)
            yield chunk

    return checked()


def _refusal(error: FileStorageFailed) -> RequestRefused:
    """What callers hear of it: no names of buckets and machines, which the log has."""
    if error.code == "FileTooLarge":
        return RequestRefused(413, error.code, error.message)
    _log.error("%s", error)
    return RequestRefused(
        503, error.code, "The stored files of this deployment cannot be used at the moment. Try again later."
    )


def _digest(header: str | None) -> bytes | None:
    """The 32 bytes of `sha-256=<base64>`, the one form that Convex takes. Raises `RequestRefused` 400 `BadHeader`."""
    if header is None:
        return None
    match = _DIGEST.fullmatch(header)
    if match is None:
        raise RequestRefused(
            400,
            "BadHeader",
            f"Bad header for digest: {header[:100]!r} is not `sha-256=` and 32 bytes in base64.",
        )
    return base64.b64decode(match[1])


def _content_type(file: FileRecord) -> RawHeaders:
    """As it was stored; one that no header can hold is left out."""
    if file.content_type is None or _CONTROL.search(file.content_type):
        return []
    return [(b"content-type", file.content_type.encode("latin-1"))]


def _span(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the byte after the last, of a single range that meets the file; None for anything else."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    return (start, stop) if start < stop else None
