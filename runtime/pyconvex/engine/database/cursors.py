"""Cursors: how far a query was read, as a text that clients keep and hand back.

A cursor is sealed (AES-SIV): it shows nothing of the documents it points at, it cannot be made up, and it opens for
the query it came from only. Equal positions give equal texts, so a page that has not changed looks the same.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from pyconvex.values.value import ConvexError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_FORMAT: Final = b"cursor 1"
_END: Final = b"\0"
_BEHIND: Final = b"\1"


class Position(NamedTuple):
    """Behind the entry with this index key; None: at the end of the query."""

    key: bytes | None

    @property
    def is_end(self) -> bool:
        return self.key is None


END: Final = Position(None)


class InvalidCursor(ConvexError):
    """A cursor of another query, of another deployment, or none at all.

    Its data is what Convex's clients recognise: they begin again with the first page.
    """

    def __init__(self) -> None:
        super().__init__({"isConvexSystemError": True, "paginationError": "InvalidCursor"})

    def __str__(self) -> str:
        return "Tried to run a query starting from a cursor, but it looks like this cursor is from a different query."


class Cursors:
    """Makes and reads cursors.

    Args:
        secret: the deployment's.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def text(self, position: Position, fingerprint: bytes) -> str:
        """`position` in the query that `fingerprint` stands for."""
        plain = _END if position.key is None else _BEHIND + position.key
        return urlsafe_b64encode(self._cipher.encrypt(plain, [_FORMAT, fingerprint])).rstrip(b"=").decode()

    def position(self, text: str, fingerprint: bytes) -> Position:
        """The inverse of `text`. Raises `InvalidCursor`."""
        from cryptography.exceptions import InvalidTag

        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._cipher.decrypt(sealed, [_FORMAT, fingerprint])
        except (ValueError, InvalidTag):
            raise InvalidCursor from None
        return END if plain == _END else Position(plain[len(_BEHIND) :])

    @cached_property
    def _cipher(self) -> AESSIV:
        # Imported with the first cursor: it takes 25 ms, and most commands see none.
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        return AESSIV(blake2b(self._secret, digest_size=64, person=b"cursors").digest())
