"""Bytes to the site port as they are, and everything that comes back."""

import asyncio
import contextlib
import re
from dataclasses import dataclass

from support.served import Served

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [ A-Za-z-]*\r\n")

HTTP = """
from pyconvex.server import Request, Response, http_router

http = http_router()
seen = []


async def tell(ctx, request: Request):
    body = await request.text()
    seen.append((request.method, str(request.url), body))
    return Response(f"{request.method} {request.url.pathname} {body}")


for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
    http.route(path_prefix="/", method=method)(tell)

default = http
"""
"""A route for everything, which remembers in `seen` what reached it."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back on one connection."""

    text: bytes
    closed: bool
    """The server has hung up, though the client had not."""

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in STATUS_LINE.findall(self.text)]

    @property
    def last_body(self) -> str:
        return self.text.rpartition(b"\r\n\r\n")[2].decode()


async def say(server: Served, *parts: bytes, answers: int = 1, api: bool = False) -> Said:
    """Send `parts`, each on its own, and read until so many answers are there, or the server hangs up.

    Then a request of its own shows whether the connection is open: it is one more answer, which is not told of.
    """
    reader, writer = await server.connect(api=api)
    text = b""
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        text, closed = await _read(reader, answers)
        if not closed:
            writer.write(b"GET /still-there HTTP/1.1\r\nhost: x\r\n\r\n")
            more, closed = await _read(reader, 1, ending=b"GET /still-there ")
            closed = closed and b"/still-there" not in more
            text += more if closed else b""
        return Said(text, closed)
    except ConnectionError:
        return Said(text, closed=True)
    finally:
        writer.transport.abort()


async def _read(reader: asyncio.StreamReader, answers: int, ending: bytes | None = None) -> tuple[bytes, bool]:
    """What comes until so many whole answers are there, and whether the connection ended before."""
    text = b""
    while not _is_whole(text, answers, ending):
        part = b""
        with contextlib.suppress(ConnectionError):
            part = await reader.read(65536)
        if not part:
            return text, True
        text += part
    return text, False


def _is_whole(text: bytes, answers: int, ending: bytes | None) -> bool:
    if ending is not None:
        return text.endswith(ending)
    found = 0
    while match := re.search(rb"\r\ncontent-length: (\d+)\r\n(?:.*\r\n)*?\r\n", text):
        end = match.end() + int(match[1])
        if len(text) < end:
            return False
        text, found = text[end:], found + 1
    return found >= answers
