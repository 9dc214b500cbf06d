"""The bytes of one response in HTTP/1.1 (RFC 9112): its head, and where its body ends."""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""What concerns the connection, not the response (RFC 9110, section 7.6.1): the server's to say. Of what an application
says, only `close` counts."""


class UnsendableHead(ValueError):
    """An application answered with a status or a header that HTTP has no way to send."""


class WrongLength(ValueError):
    """An application sent more or less than the Content-Length that it announced."""


class ResponseWriter:
    """Makes the bytes of a response, in the order `head`, `part` as often as need be, `end`.

    Arguments:
        method: of the request; the response to HEAD has no body.
        http_version: of the request; HTTP/1.0 has no chunks, so the end of the connection ends the body.
    """

    __slots__ = ("_is_bodiless", "_is_chunked", "_left", "_method", "_version", "ends_connection")

    def __init__(self, method: str, http_version: str) -> None:
        self._method = method
        self._version = http_version
        self._is_bodiless = False
        self._is_chunked = False
        self._left: int | None = None
        """How many bytes of the announced length are missing."""
        self.ends_connection = False
        """Nothing may follow it on the connection."""

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, ends_connection: bool) -> bytes:
        """The status line and the headers, with those that say how the body ends.

        Raises:
            UnsendableHead: a name or a value would break the head, or lengths differ.
        """
        self._is_bodiless = self._method == "HEAD" or status in (204, 304)
        self._left = None  # of a head that could not be sent
        lines = [_status_line(status)]
        for name, value in headers:
            folded = name.lower()
            if folded == b"content-length":
                self._left = self._announced(value)
            elif folded == b"connection" and b"close" in value.lower():
                ends_connection = True
            lines.append(_line(folded, value))
        if self._left is None and status not in (204, 304):
            lines.append(self._without_length())
        self.ends_connection = self.ends_connection or ends_connection
        lines.append(b"connection: close\r\n\r\n" if self.ends_connection else b"\r\n")
        return b"".join(lines)

    def part(self, data: bytes) -> bytes:
        """A part of the body.

        Raises:
            WrongLength: it goes beyond the length that was announced.
        """
        if self._is_bodiless or not data:
            return b""
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise WrongLength("the body is longer than the Content-Length that was announced")
        return data

    def end(self) -> bytes:
        """What ends the body.

        Raises:
            WrongLength: it is shorter than what was announced.
        """
        if self._is_bodiless:
            return b""
        if self._left:
            raise WrongLength(f"{self._left} bytes of the Content-Length that was announced are missing")
        return b"0\r\n\r\n" if self._is_chunked else b""

    def _announced(self, value: bytes) -> int:
        if self._left is not None or not value.isdigit():
            raise UnsendableHead("there has to be one Content-Length, a number")
        return int(value)

    def _without_length(self) -> bytes:
        if self._version == "1.1":
            self._is_chunked = True
            return b"transfer-encoding: chunked\r\n"
        self.ends_connection = not self._is_bodiless
        return b""


def _status_line(status: int) -> bytes:
    if not 200 <= status <= 999:
        raise UnsendableHead(f"{status} is not the status of a response")
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


@lru_cache(512)
def _line(name: bytes, value: bytes) -> bytes:
    """The line of a header; nothing of one that is the server's to send."""
    if _NAME.fullmatch(name) is None or _CONTROL.search(value):
        raise UnsendableHead(f"a header has an impossible name or value: {name!r:.100}: {value!r:.100}")
    return b"" if name in _HOP_BY_HOP else b"%b: %b\r\n" % (name, value)
