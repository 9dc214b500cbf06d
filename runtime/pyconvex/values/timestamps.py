"""Commit timestamps as clients write them: base64 of eight bytes, little-endian, of nanoseconds since 1970."""

from base64 import b64decode, b64encode
from functools import lru_cache
from typing import Final

TIMESTAMP_MAX: Final = 2**63 - 1
_BYTES: Final = 8


@lru_cache(maxsize=1024)
def encode_timestamp(ts: int) -> str:
    """`AAAAAAAAAAA=` for 0."""
    return b64encode(ts.to_bytes(_BYTES, "little")).decode()


def decode_timestamp(text: str) -> int:
    """The inverse of `encode_timestamp`.

    Raises:
        ValueError: no base64 of eight bytes, or more than a timestamp can be.
    """
    data = b64decode(text, validate=True)
    if len(data) != _BYTES or (ts := int.from_bytes(data, "little")) > TIMESTAMP_MAX:
        raise ValueError(f"{text[:40]!r} is no timestamp: it must be base64 of 8 bytes, below 2**63")
    return ts
