"""Forms that were sent: `multipart/form-data` (RFC 7578) and `application/x-www-form-urlencoded`."""

import asyncio
import re
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

from .blob import File
from .form_data import FormData
from .url import parse_query

PARTS_MAX = 10_000
"""Fields of one form; reading more would hold up other requests."""

PART_HEADERS_MAX = 32
PART_HEADER_BYTES_MAX = 16 * 1024
"""Of one header of a part, such as one with a long file name."""

_SLICE_BYTES = 64 * 1024
"""After as much other requests have their turn."""

_PADDING_MAX = 1024
_SENT_BY_BROWSERS = re.compile(rb'form-data; *name="([^"]*)"(?:; *filename="([^"]*)")?', re.IGNORECASE)
"""Where a backslash is a backslash; other programs escape with it."""


async def read_form(content: bytes | AsyncIterator[bytes] | None, content_type: str | None) -> FormData:
    """The fields of a form that was sent.

    Raises:
        TypeError: another or no content type, a malformed form, or one of more than `PARTS_MAX` fields.
    """
    if content_type is None:
        raise TypeError("Missing content type")
    kind, options = _parameters(content_type)
    if kind == b"application/x-www-form-urlencoded":
        return await _read_urlencoded(content)
    if kind != b"multipart/form-data":
        raise TypeError("Invalid content type" if b"/" not in kind else "Body cannot be decoded as form data")
    if not options.get(b"boundary"):
        raise TypeError("Missing boundary parameter in mime type of multipart formdata.")
    reader = _Reader(options[b"boundary"])
    async for piece in _slices(content):
        reader.write(piece)
    return reader.end()


async def _read_urlencoded(content: bytes | AsyncIterator[bytes] | None) -> FormData:
    data = bytearray()
    async for chunk in _chunks(content):
        data += chunk
    if data.count(b"&") >= PARTS_MAX:
        raise _too_many()
    form = FormData()
    for name, value in parse_query(_text(data)):
        form.append(name, value)
    return form


async def _slices(content: bytes | AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    taken = 0
    async for chunk in _chunks(content):
        for at in range(0, len(chunk), _SLICE_BYTES):
            piece = chunk[at : at + _SLICE_BYTES]
            if taken >= _SLICE_BYTES:
                await asyncio.sleep(0)
                taken = 0
            taken += len(piece)
            yield piece


async def _chunks(content: bytes | AsyncIterator[bytes] | None) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield content
    elif content is not None:
        async for chunk in content:
            yield chunk


class _Reader:
    """Takes a multipart form as it comes, and puts its parts into a form."""

    def __init__(self, boundary: bytes) -> None:
        from python_multipart.exceptions import FormParserError  # 5 ms that few processes need
        from python_multipart.multipart import MultipartParser

        self._malformed = FormParserError
        self._form = FormData()
        self._before: bytes | None = b"\r\n"
        """The end of what came before the first boundary, which may begin in it; None after that."""
        self._skipped = False
        self._opening = re.compile(rb"\r\n--" + re.escape(boundary) + rb"[ \t]*\r\n")
        self._boundary = boundary
        self._ended = False
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._content = BytesIO()
        callbacks: Any = {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._begin_header,
            "on_header_field": self._take_header_name,
            "on_header_value": self._take_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        try:
            self._parser = MultipartParser(
                boundary, callbacks, max_header_count=PART_HEADERS_MAX, max_header_size=PART_HEADER_BYTES_MAX
            )
        except FormParserError as error:
            raise _malformed(str(error)) from None

    def write(self, data: bytes) -> None:
        if self._before is not None:
            data = self._skip_preamble(self._before + data)
        try:
            self._parser.write(data)
        except self._malformed as error:
            raise _malformed(str(error)) from None

    def end(self) -> FormData:
        if not self._ended:
            raise _malformed("the closing boundary is missing")
        return self._form

    def _skip_preamble(self, data: bytes) -> bytes:
        """The form from its first boundary on, without spaces behind that; python-multipart has neither."""
        if not self._skipped and data.startswith(b"\r\n--" + self._boundary + b"--"):
            self._before = None
            return data[2:]
        if found := self._opening.search(data):
            self._before = None
            return b"--" + self._boundary + b"\r\n" + data[found.end() :]
        self._before = data[-len(self._boundary) - _PADDING_MAX :]
        self._skipped = self._skipped or len(self._before) < len(data)
        return b""

    def _begin_part(self) -> None:
        if len(self._form) == PARTS_MAX:
            raise _too_many()
        self._headers = {}
        self._content = BytesIO()

    def _begin_header(self) -> None:
        self._name = self._value = b""

    def _take_header_name(self, data: bytes, start: int, stop: int) -> None:
        self._name += data[start:stop]

    def _take_header_value(self, data: bytes, start: int, stop: int) -> None:
        self._value += data[start:stop]

    def _end_header(self) -> None:
        self._headers[self._name.strip(b" \t").lower()] = self._value.strip(b" \t")

    def _take_data(self, data: bytes, start: int, stop: int) -> None:
        self._content.write(memoryview(data)[start:stop])

    def _end_part(self) -> None:
        name, filename = _disposition(self._headers.get(b"content-disposition", b""))
        content, self._content = self._content.getvalue(), BytesIO()
        if filename is None:
            self._form.append(name, _text(content))
            return
        media_type = self._headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
        self._form.append(name, File([content], filename, type=media_type))

    def _end(self) -> None:
        self._ended = True


def _disposition(header: bytes) -> tuple[str, str | None]:
    """Name and file name of a part."""
    if found := _SENT_BY_BROWSERS.fullmatch(header):
        return _unescaped(found[1]), None if found[2] is None else _unescaped(found[2])
    kind, options = _parameters(header.decode("latin-1"))
    if kind != b"form-data" or b"name" not in options:
        raise _malformed("a part has no content-disposition with a name")
    filename = options.get(b"filename")
    return _unescaped(options[b"name"]), None if filename is None else _unescaped(filename)


def _parameters(header: str) -> tuple[bytes, dict[bytes, bytes]]:
    """A header such as `form-data; name="x"`: its value in lower case, and its parameters."""
    from python_multipart.multipart import parse_options_header

    return parse_options_header(header)


def _unescaped(text: bytes) -> str:
    plain = text.decode("utf-8", "replace")
    return re.sub("%0D|%0A|%22", lambda found: {"%0D": "\r", "%0A": "\n", "%22": '"'}[found[0]], plain)


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")


def _too_many() -> TypeError:
    return TypeError(f"A form of more than {PARTS_MAX} fields is not read")


def _malformed(reason: str) -> TypeError:
    return TypeError(f"Malformed multipart form data: {reason}")
