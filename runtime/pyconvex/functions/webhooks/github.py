"""GitHub's webhooks (https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries)."""

from collections.abc import Sequence
from typing import ClassVar

from pyconvex.functions.fetch.headers import Headers

from .verification import TOLERANCE, Secret, Signed, Webhook, as_bytes, hmac_sha256, malformed, required

_HEADER = "x-hub-signature-256"


class GitHubWebhook(Webhook):
    """Verifies GitHub's header `X-Hub-Signature-256`.

        body = await GitHubWebhook(os.environ["GITHUB_WEBHOOK_SECRET"]).verify(request)

    There is no replay window: GitHub signs the body alone, neither a time nor `X-GitHub-Delivery`. Whoever has a
    delivery can send it again under any delivery id, so a list of ids that were seen keeps out GitHub's own
    redeliveries and no attacker. Make what the handler does harmless when it is done twice.

    Args:
        secret: of the webhook; several while they are being exchanged.
    """

    _scheme: ClassVar = "GitHub"

    def __init__(self, secret: Secret | Sequence[Secret]) -> None:
        super().__init__(secret, TOLERANCE)

    def sign(self, body: bytes | str) -> dict[str, str]:
        """The header that goes with `body`, signed with the first secret: for tests."""
        return {_HEADER: "sha256=" + self._signature(self._keys[0], as_bytes(body)).decode()}

    def _key(self, secret: Secret) -> bytes:
        return as_bytes(secret)

    def _read(self, body: bytes, headers: Headers) -> Signed:
        value = required(headers, _HEADER)
        if not value.startswith("sha256="):
            raise malformed("`X-Hub-Signature-256` does not begin with `sha256=`")
        return Signed(body, [value.removeprefix("sha256=").encode("latin-1")])

    def _signature(self, key: bytes, content: bytes) -> bytes:
        return hmac_sha256(key, content).hex().encode()
