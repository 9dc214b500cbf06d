"""What is secret in a kept request, and what a test puts in its place.

A signature is made again with a secret of the test's own; a variable's value becomes a reference to the variable; a
bearer token becomes the user it stands for; what is left of secret headers is left out.
"""

import binascii
import json
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from pyconvex.engine.auth.claims import TooNested, oidc_attributes
from pyconvex.server import GitHubWebhook, Headers, StandardWebhook, StripeWebhook, WebhookVerificationError
from pyconvex_cli.json_objects import is_object
from pyconvex_cli.python_source import literal

Pairs: TypeAlias = Sequence[tuple[str, str]]
Scheme: TypeAlias = "type[StandardWebhook] | type[StripeWebhook] | type[GitHubWebhook]"

TEST_SECRET = "whsec_" + b64encode(b"the secret of this test").decode()
"""Good for each of the schemes."""
SUBSTITUTED_MIN = 6
"""A variable's value shorter than this may be part of a header by chance."""

_SCHEMES: Mapping[str, Scheme] = {
    "stripe-signature": StripeWebhook,
    "x-hub-signature-256": GitHubWebhook,
    "webhook-signature": StandardWebhook,
    "svix-signature": StandardWebhook,
}
_SECRET_NAME = re.compile(r"SECRET|TOKEN|KEY|PASS|PWD|CREDENTIAL|PRIVATE|AUTH|DSN|SALT|SIGN", re.IGNORECASE)
_PLAIN_VALUE = re.compile(r"https?://[\w.-]+(:\d+)?(/[\w./-]*)?|[A-Za-z_ -]{0,40}|[\w ./:-]{0,15}")


class Signer(NamedTuple):
    """How a request was signed: the scheme, and the variable of the deployment that holds the secret."""

    scheme: Scheme
    variable: str
    arguments: str
    """Further arguments of `sign`, as source text."""
    headers: frozenset[str]
    """The names of the headers that `sign` makes."""

    @property
    def has_time(self) -> bool:
        """Whether the time of signing is part of it."""
        return self.scheme is not GitHubWebhook


def signer_of(headers: Pairs, body: bytes, at_ms: float, variables: Mapping[str, str]) -> Signer | None:
    """Who signed it, found by trying the deployment's variables as secrets; None when none of them fits."""
    given = dict(headers)
    for header, scheme in _SCHEMES.items():
        if header not in given:
            continue
        for name, value in variables.items():
            try:
                scheme(value).check(body, Headers(headers), now=at_ms)
            except (ValueError, WebhookVerificationError):
                continue
            prefix = header.removesuffix("-signature")
            if scheme is not StandardWebhook:
                return Signer(scheme, name, "", frozenset({header}))
            message = literal(given[f"{prefix}-id"])
            made = frozenset(f"{prefix}-{part}" for part in ("id", "timestamp", "signature"))
            return Signer(scheme, name, f', id={message}, prefix="{prefix}"', made)
    return None


def identity_of(headers: Pairs) -> dict[str, Any] | None:
    """The user whose token the request carries, unverified, as `with_identity` takes it; None without one."""
    scheme, _, token = dict(headers).get("authorization", "").partition(" ")
    parts = token.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return None
    try:
        claims: object = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return dict(oidc_attributes(claims)) if is_object(claims) and {"iss", "sub"} <= claims.keys() else None
    except (binascii.Error, ValueError, TooNested, RecursionError):
        return None


def value_in_test(name: str, value: str) -> str:
    """The value of a variable in a test: its own where it gives nothing away, else one that is made up."""
    if value.startswith("whsec_"):
        return TEST_SECRET  # modules may make a verifier of it while they are loaded
    if _SECRET_NAME.search(name) is None and _PLAIN_VALUE.fullmatch(value) is not None:
        return value
    return "test-" + name.lower().replace("_", "-")


def source_of(text: str, known: Mapping[str, str]) -> str:
    """An expression for `text` in which values of variables (value → name) are references to `ENV`."""
    found = next((value for value in sorted(known, key=len, reverse=True) if value in text), None)
    if found is None:
        return literal(text)
    before, _, after = text.partition(found)
    parts = [source_of(before, known)] * bool(before) + [f"ENV[{literal(known[found])}]"]
    return " + ".join(parts + [source_of(after, known)] * bool(after))
