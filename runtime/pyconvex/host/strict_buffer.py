"""Where h11 takes its lines from, without the leniency by which two servers see different requests in the same bytes.

h11 forgives what RFC 9112 lets a server forgive: bare line feeds (section 2.2), folded lines (section 5.2), repeated
lengths (section 6.3), any chunk extension (section 7.1.1), control characters (RFC 9110, section 5.5). A proxy in front
may read such bytes in another way, and what it takes for a body would be a request here. Nothing that is sent today
needs any of it, so all of it is refused.

Imported only when something is served, as h11 is.
"""

import re
from typing import NoReturn

from h11 import LocalProtocolError
from h11._receivebuffer import ReceiveBuffer  # h11 has no other way to be told; the tests of refusals depend on it

BAD_REQUEST, HEAD_TOO_LARGE = 400, 431

CHUNK_LINE_MAX = 1024
EXTENSIONS_MAX = 16 * 1024
"""Bytes that the chunk extensions of one body may have together: they are thrown away, but not without end."""

_BARE_LF = re.compile(rb"(?<!\r)\n")
_CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]{1,16}(;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LENGTH = b"\ncontent-length:"
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class StrictBuffer(ReceiveBuffer):
    """The bytes of one connection that were not taken yet.

    Raises (whoever reads lines): `LocalProtocolError`, of which h11 makes its own error about the peer.
    """

    def __init__(self, head_max: int, fields_max: int) -> None:
        super().__init__()
        self._head_max = head_max
        self._fields_max = fields_max
        self._extension_bytes = 0

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of a head or of trailers, once they are complete."""
        data = self._data
        if data.startswith(b"\r\n"):
            self._extract(2)
            return []
        end = data.find(b"\r\n\r\n", self._multiple_lines_search)
        if end < 0:
            if _BARE_LF.search(data, self._multiple_lines_search):
                _refuse("a line ends with a bare line feed")
            self._multiple_lines_search = max(0, len(data) - 3)
            return None
        self._extension_bytes = 0
        head = self._extract(end + 4)
        lines = head[:end].split(b"\r\n")
        self._check(head, lines)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """The line before a chunk."""
        line = super().maybe_extract_next_line()
        if line is None:
            if b"\n" in self._data or len(self._data) > CHUNK_LINE_MAX:
                _refuse("no chunk size")
            return None
        match = _CHUNK_LINE.fullmatch(line)
        if match is None or len(line) > CHUNK_LINE_MAX:
            _refuse("no chunk size")
        if match[1]:
            self._extension_bytes += len(match[1])
            if self._extension_bytes > EXTENSIONS_MAX:
                _refuse("too many chunk extensions")
        return line

    def _check(self, head: bytearray, lines: list[bytearray]) -> None:
        if len(head) > self._head_max:
            _refuse(f"the headers have more than {self._head_max} bytes", HEAD_TOO_LARGE)
        if len(lines) - 1 > self._fields_max:
            _refuse(f"there are more than {self._fields_max} headers", HEAD_TOO_LARGE)
        if head.count(b"\n") != len(lines) + 1:
            _refuse("a line ends with a bare line feed")
        if _CONTROL.search(head):
            _refuse("a header has a control character")
        if b"\n " in head or b"\n\t" in head:
            _refuse("a header is folded over several lines")
        folded = head.lower()
        at = folded.find(_LENGTH)
        if at >= 0 and (folded.find(_LENGTH, at + 1) >= 0 or b"," in folded[at : folded.find(b"\r", at)]):
            _refuse("several Content-Length headers")


def _refuse(why: str, status: int = BAD_REQUEST) -> NoReturn:
    raise LocalProtocolError(why, error_status_hint=status)
