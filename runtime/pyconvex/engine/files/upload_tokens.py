"""What allows somebody to upload files: a signed text with a time after which it is worth nothing.

The signature is made with the deployment's secret, so every process of the deployment knows its own tokens, also those
of before a restart, and none has to be kept. Until it expires, a token may be used for as many files as one likes.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from pyconvex.clock import Clock
from pyconvex.errors import RequestRefused

VALID_SECONDS: Final = 3600.0

_TIME_BYTES: Final = 8
_NONCE_BYTES: Final = 10
_SIGNATURE_BYTES: Final = 24
_BYTES: Final = _TIME_BYTES + _NONCE_BYTES + _SIGNATURE_BYTES


class UploadTokens:
    """Makes and checks tokens.

    Args:
        secret: the deployment's.
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"uploads").digest()
        self._clock = clock

    def token(self) -> str:
        """A new one, valid for an hour from now, as a text that a URL may hold as it is."""
        expires = int(self._clock.now_ms() + VALID_SECONDS * 1000)
        signed = expires.to_bytes(_TIME_BYTES, "big") + self._clock.random_bytes(_NONCE_BYTES)
        return urlsafe_b64encode(signed + self._signature(signed)).decode()

    def check(self, token: str) -> None:
        """Raises `RequestRefused` 401: `StorageTokenInvalid` for what was never handed out, `StorageTokenExpired`."""
        try:
            given = urlsafe_b64decode(token.encode("ascii"))
        except ValueError:
            given = b""
        signed, signature = given[:-_SIGNATURE_BYTES], given[-_SIGNATURE_BYTES:]
        if len(given) != _BYTES or not compare_digest(signature, self._signature(signed)):
            raise RequestRefused(401, "StorageTokenInvalid", "The token of this upload URL is not valid.")
        if int.from_bytes(signed[:_TIME_BYTES], "big") < self._clock.now_ms():
            raise RequestRefused(
                401, "StorageTokenExpired", "This upload URL has expired: generate one shortly before each upload."
            )

    def _signature(self, signed: bytes) -> bytes:
        return blake2b(signed, key=self._key, digest_size=_SIGNATURE_BYTES).digest()
