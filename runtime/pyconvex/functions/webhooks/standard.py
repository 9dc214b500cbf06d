"""Standard Webhooks (https://www.standardwebhooks.com), as Svix and many others send them."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Literal

from pyconvex.functions.fetch.headers import Headers

from .verification import (
    TOLERANCE,
    Moment,
    Secret,
    Signed,
    Webhook,
    as_bytes,
    hmac_sha256,
    malformed,
    required,
    seconds_of,
    signing_seconds,
)

_PREFIX = "whsec_"
_ASYMMETRIC = ("whpk_", "whsk_")


class StandardWebhook(Webhook):
    """Verifies Standard Webhooks: the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`, or `svix-…`.

        body = await StandardWebhook(os.environ["WEBHOOK_SECRET"]).verify(request)

    Only `v1` signatures (HMAC-SHA256) count. The id is signed, and the same for each attempt to deliver one message:
    a mutation that remembers it makes a handler that does nothing twice.

    Args:
        secret: `whsec_…` as the sender shows it (the prefix may be missing), or the key itself as bytes; several
            while they are being exchanged.
        tolerance: how far the time of signing may lie from the time of arrival, before or after.
    """

    _scheme: ClassVar = "Standard Webhooks"

    def __init__(self, secret: Secret | Sequence[Secret], *, tolerance: timedelta = TOLERANCE) -> None:
        super().__init__(secret, tolerance)

    def sign(
        self,
        body: bytes | str,
        *,
        id: str = "msg_test",
        at: Moment | None = None,
        prefix: Literal["webhook", "svix"] = "webhook",
    ) -> dict[str, str]:
        """The headers that go with `body`, signed with the first secret: for tests.

        Args:
            id: of the message.
            at: when it is signed; now by default.
            prefix: of the headers' names.
        """
        seconds = signing_seconds(at)
        content = f"{id}.{seconds}.".encode() + as_bytes(body)
        return {
            f"{prefix}-id": id,
            f"{prefix}-timestamp": str(seconds),
            f"{prefix}-signature": "v1," + self._signature(self._keys[0], content).decode(),
        }

    def _key(self, secret: Secret) -> bytes:
        if isinstance(secret, bytes):
            return secret
        if secret.startswith(_ASYMMETRIC):
            raise ValueError(f"The secret is an asymmetric key ({secret[:5]}…); only secrets `whsec_…` are supported")
        text = secret.removeprefix(_PREFIX)
        try:
            key = b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not key:
            raise ValueError(
                "The secret of Standard Webhooks is not base64 after `whsec_`: give it as the sender shows it"
            )
        return key

    def _read(self, body: bytes, headers: Headers) -> Signed:
        prefix = "webhook" if headers.has("webhook-signature") or not headers.has("svix-signature") else "svix"
        signatures = required(headers, f"{prefix}-signature")
        message = required(headers, f"{prefix}-id")
        timestamp = required(headers, f"{prefix}-timestamp")
        found = [each.removeprefix("v1,").encode("latin-1") for each in signatures.split() if each.startswith("v1,")]
        if not found:
            raise malformed(f"`{prefix}-signature` has no signature of version v1")
        if "." in message:  # it separates what is signed: the end of an id could be taken for a time
            raise malformed(f"`{prefix}-id` has a full stop")
        content = f"{message}.{timestamp}.".encode("latin-1") + body
        return Signed(content, found, seconds_of(timestamp, f"`{prefix}-timestamp`"))

    def _signature(self, key: bytes, content: bytes) -> bytes:
        return b64encode(hmac_sha256(key, content))
