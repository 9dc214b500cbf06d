"""Python source as a formatter would leave it: literals and bracketed blocks."""

import re
from collections.abc import Iterable, Iterator

PIECE = 96
"""Characters of a long text on one line, about; bytes that have to be escaped take four each."""

_PLAIN_BYTES = re.compile(rb"[\t\n\r -~]*")


def literal(value: object) -> str:
    """`repr`, with double quotes around text unless others need fewer escapes."""
    if not isinstance(value, str | bytes):
        return repr(value)
    prefix = "b" if isinstance(value, bytes) else ""
    inner = re.sub(r"\\(['\"])|\\.", lambda found: found[1] or found[0], repr(value).removeprefix("b")[1:-1])
    quote = "'" if inner.count('"') > inner.count("'") else '"'
    return prefix + quote + inner.replace(quote, f"\\{quote}") + quote


def block(start: str, entries: Iterable[str], end: str) -> Iterator[str]:
    """`HEADERS = {`, an entry on each line, `}`."""
    yield start
    yield from (f"    {entry}," for entry in entries)
    yield end


def bytes_assigned(name: str, value: bytes) -> Iterator[str]:
    """`name = b"…"`, over several lines where it is long; text beyond ASCII stays legible."""
    if _PLAIN_BYTES.fullmatch(value):
        pieces, end = _pieces(value, PIECE), ""
    elif (text := _printable(value)) is not None:
        pieces, end = _pieces(text, PIECE), ".encode()"
    else:
        pieces, end = _pieces(value, PIECE // 4), ""
    if len(pieces) == 1:
        yield f"{name} = {pieces[0]}{end}"
    else:
        yield from [f"{name} = (", *(f"    {piece}" for piece in pieces), f"){end}"]


def _pieces(value: str | bytes, size: int) -> list[str]:
    return [literal(value[at : at + size]) for at in range(0, len(value), size)]


def _printable(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if re.sub(r"[\t\n\r]", "", text).isprintable() else None
