"""Stripe's webhooks (https://docs.stripe.com/webhooks#verify-manually)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

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

_HEADER = "stripe-signature"


class StripeWebhook(Webhook):
    """Verifies Stripe's header `Stripe-Signature: t=…,v1=…`.

        body = await StripeWebhook(os.environ["STRIPE_WEBHOOK_SECRET"]).verify(request)

    Only `v1` signatures count. The event's own `id` is the same for each attempt to deliver it.

    Args:
        secret: `whsec_…` of the endpoint (the Stripe CLI has one of its own); several while they are being exchanged.
        tolerance: how far the time of signing may lie from the time of arrival, before or after.
    """

    _scheme: ClassVar = "Stripe"

    def __init__(self, secret: Secret | Sequence[Secret], *, tolerance: timedelta = TOLERANCE) -> None:
        super().__init__(secret, tolerance)

    def sign(self, body: bytes | str, *, at: Moment | None = None) -> dict[str, str]:
        """The header that goes with `body`, signed with the first secret at `at` (now by default): for tests."""
        seconds = signing_seconds(at)
        signature = self._signature(self._keys[0], f"{seconds}.".encode() + as_bytes(body)).decode()
        return {_HEADER: f"t={seconds},v1={signature}"}

    def _key(self, secret: Secret) -> bytes:
        return as_bytes(secret)  # as it stands, `whsec_` included

    def _read(self, body: bytes, headers: Headers) -> Signed:
        parts = [part.strip().partition("=") for part in required(headers, _HEADER).split(",")]
        times = [value for name, _, value in parts if name == "t"]
        found = [value.encode("latin-1") for name, _, value in parts if name == "v1"]
        if len(times) != 1:
            raise malformed(
                "`Stripe-Signature` has no time `t=…`" if not times else "`Stripe-Signature` has several times"
            )
        if not found:
            raise malformed("`Stripe-Signature` has no signature `v1=…`")
        seconds = seconds_of(times[0], "`t` in `Stripe-Signature`")
        return Signed(f"{times[0]}.".encode() + body, found, seconds)

    def _signature(self, key: bytes, content: bytes) -> bytes:
        return hmac_sha256(key, content).hex().encode()
