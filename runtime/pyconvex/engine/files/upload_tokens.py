"""What allows somebody to upload files: a signed text with a time after which it is worth nothing.

The signature is made with the deployment's secret, so every process of the deployment knows its own tokens, also those
of before a restart. Until it expires, a token may be used for as many files as one likes.

A *bound* token is good only where somebody has kept its nonce (see `upload_urls.py`); that it is one is signed too.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from msgspec import Struct

from pyconvex.clock import Clock
from pyconvex.errors import RequestRefused

VALID_SECONDS: Final = 3600.0
NONCE_BYTES: Final = 16

_TIME_BYTES: Final = 7
_BOUND_AT: Final = _TIME_BYTES
_NONCE_AT: Final = _BOUND_AT + 1
_SIGNATURE_BYTES: Final = 24
_BYTES: Final = _NONCE_AT + NONCE_BYTES + _SIGNATURE_BYTES
"""48: whole groups of three, so that no token has padding and no letter of it has bits to spare."""


class UploadToken(Struct, frozen=True):
    """What a token says that this deployment has handed out, and that has not expired."""

    nonce: bytes
    """In no other token."""
    bound: bool


class UploadTokens:
    """Makes and checks tokens.

    Args:
        secret: the deployment's.
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"uploads").digest()
        self._clock = clock

    def nonce(self) -> bytes:
        """One for a new token."""
        return self._clock.random_bytes(NONCE_BYTES)

    def token(self, nonce: bytes, *, bound: bool) -> str:
        """A new one, valid for an hour from now, as a text that a URL may hold as it is."""
        expires = int(self._clock.now_ms() + VALID_SECONDS * 1000)
        signed = expires.to_bytes(_TIME_BYTES, "big") + bytes([bound]) + nonce
        return urlsafe_b64encode(signed + self._signature(signed)).decode()

    def read(self, token: str) -> UploadToken:
        """Raises `RequestRefused` 401: `StorageTokenInvalid` for what was never handed out, `StorageTokenExpired`."""
        try:
            given = urlsafe_b64decode(token.encode("ascii"))
        except ValueError:
            given = b""
        signed, signature = given[:-_SIGNATURE_BYTES], given[-_SIGNATURE_BYTES:]
        if len(given) != _BYTES or not compare_digest(signature, self._signature(signed)):
            raise not_valid()
        if int.from_bytes(signed[:_TIME_BYTES], "big") < self._clock.now_ms():
            raise RequestRefused(
                401, "StorageTokenExpired", "This upload URL has expired: generate one shortly before each upload."
            )
        return UploadToken(signed[_NONCE_AT:], bool(signed[_BOUND_AT]))

    def _signature(self, signed: bytes) -> bytes:
        return blake2b(signed, key=self._key, digest_size=_SIGNATURE_BYTES).digest()


def not_valid() -> RequestRefused:
    return RequestRefused(401, "StorageTokenInvalid", "The token of this upload URL is not valid.")
