"""Document ids: table number, 16 bytes and a checksum in base32."""

from functools import lru_cache
from typing import Final, NamedTuple
from zlib import adler32

from pyconvex.errors import DeveloperError

INTERNAL_BYTES: Final = 16
TABLE_NUMBER_MAX: Final = 2**32 - 1

_ID_LENGTH_MAX = 37
_RANDOM_BYTES = INTERNAL_BYTES - 2
_FOOTER_BYTES = 2
_DAY_MS = 86_400_000
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TO_LETTERS = _ALPHABET.encode().ljust(256, b"\0")
_INT_DIGITS = dict(zip(_ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv", strict=True))
_TO_INT_DIGITS = bytes(_INT_DIGITS.get(letter, 0) for letter in range(256))  # int() refuses the NUL of other letters


class DocumentId(NamedTuple):
    """What an id says: the number of its table (1 … 2**32-1) and 16 bytes that are unique in the deployment."""

    table: int
    internal: bytes


class InvalidId(DeveloperError, ValueError):
    """A text that is no document's id."""

    def __init__(self, text: str) -> None:
        super().__init__("InvalidId", "Unable to decode ID")
        self.text = text


def new_internal_id(random: bytes, now_ms: float) -> bytes:
    """The 16 bytes of a new id: 14 random ones, then the day (UTC, since 1970) so that ids of one day lie together."""
    assert len(random) == _RANDOM_BYTES, "a new id takes 14 random bytes"
    return random + (int(now_ms // _DAY_MS) & 0xFFFF).to_bytes(2, "big")


def encode_id(id: DocumentId) -> str:
    """`id` as the text that users and clients see, 31 to 37 characters."""
    table, internal = id
    assert 0 < table <= TABLE_NUMBER_MAX, "table numbers start at 1 and have 32 bits"
    body = _varint(table) + internal
    return _base32(body + _checksum(body))


@lru_cache(maxsize=16_384)
def decode_id(text: str) -> DocumentId:
    """The inverse of `encode_id`.

    Raises:
        InvalidId: not an id in canonical form: wrong length, letters, checksum or table number.
    """
    if len(text) > _ID_LENGTH_MAX:
        raise InvalidId(text)
    try:
        number = int(text.encode().translate(_TO_INT_DIGITS), 32)
    except ValueError:
        raise InvalidId(text) from None
    size = len(text) * 5 // 8
    padding = len(text) * 5 - size * 8
    data = (number >> padding).to_bytes(size, "big")
    table, start = _read_varint(data)
    body, footer = data[:-_FOOTER_BYTES], data[-_FOOTER_BYTES:]
    padded = padding < 5 and number & (1 << padding) - 1 == 0
    if table == 0 or not padded or len(body) != start + INTERNAL_BYTES or footer != _checksum(body):
        raise InvalidId(text)
    return DocumentId(table, body[start:])


def _base32(data: bytes) -> str:
    """Crockford's alphabet in lower case, the highest bits first, the last letter filled up with zeros."""
    length = (len(data) * 8 + 4) // 5
    number = int.from_bytes(data, "big") << length * 5 - len(data) * 8
    for lower, upper, distance in _SPREADING if length > 32 else _SPREADING_32:
        number = number & lower | (number & upper) << distance
    return number.to_bytes(length, "big").translate(_TO_LETTERS).decode()


def _spreading() -> list[tuple[int, int, int]]:
    """Steps that bring each 5 bits of a number into a byte of their own, all at once.

    Each moves the upper half of every group apart from the lower one: 64 letters, then 32, 16 and so on to 1.
    """
    steps: list[tuple[int, int, int]] = []
    for letters in (32, 16, 8, 4, 2, 1):
        lower = sum(((1 << 5 * letters) - 1) << 8 * start for start in range(0, 64, 2 * letters))
        steps.append((lower, lower << 5 * letters, 3 * letters))
    return steps


_SPREADING = _spreading()
_SPREADING_32 = _spreading()[1:]
"""For the 32 letters that most ids have: there is no upper half of 64 to move."""


@lru_cache(maxsize=256)
def _varint(number: int) -> bytes:
    """LEB128: groups of 7 bits, the lowest first; the high bit says that more follow."""
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _read_varint(data: bytes) -> tuple[int, int]:
    """The table number in front of `data` and where it ends; the number is 0 when it is not written canonically."""
    number = 0
    for position, group in enumerate(data[:5]):
        number |= (group & 0x7F) << 7 * position
        if group < 0x80:
            canonical = number <= TABLE_NUMBER_MAX and (group > 0 or position == 0)
            return (number if canonical else 0), position + 1
    return 0, 0


def _checksum(body: bytes) -> bytes:
    """Fletcher's checksum modulo 256 (not 255), its two sums in order; the format version 0 leaves it as it is."""
    # Adler's sums are the same but that they start at 1, and modulo 65521, which so few bytes do not reach.
    sums = adler32(body)
    return bytes((sums - 1 & 0xFF, (sums >> 16) - len(body) & 0xFF))
