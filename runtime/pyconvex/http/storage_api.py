"""Downloading stored files: `GET /api/storage/<uuid>` (https://docs.convex.dev/file-storage/serve-files).

The UUID is the only secret that protects a file. What users stored is served from the API's own address, so nothing of
it may run as a page there.
"""

import base64
import re

from pyconvex.engine.storage import FileRecord, find_file

from .asgi import Exchange, RawHeaders
from .deployment import Deployment

PREFIX = "/api/storage/"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CONTROL = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

_SAFE: RawHeaders = [(b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"sandbox")]
_CACHED: RawHeaders = [(b"cache-control", b"private, max-age=2592000"), (b"accept-ranges", b"bytes")]


class StorageApi:
    """The endpoints below `/api/storage/`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def download(self, exchange: Exchange) -> None:
        """GET and HEAD, whole or one range (RFC 9110, section 14).

        Raises `RequestRefused` 400 `InvalidStoragePath`, 404 `FileNotFound`.
        """
        file = await find_file(self._deployment.store, exchange.path.removeprefix(PREFIX))
        asked = exchange.header(b"range")
        if asked is None:
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
        content = await self._deployment.files.open(file.key, start=start, stop=stop)
        head = [*_content_type(file), (b"content-length", b"%d" % (stop - start)), *_CACHED, *_SAFE, *headers]
        await exchange.start(status, head)
        if not exchange.bodiless:
            async for chunk in content:
                if exchange.body.look():
                    return
                await exchange.write(chunk)
        await exchange.finish()


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
