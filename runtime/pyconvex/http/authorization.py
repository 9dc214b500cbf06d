"""Who is asking: the `Authorization` header of a request.

The client API refuses what it cannot verify. HTTP actions never do, since the header may carry a webhook's own key:
there the identity holds the error, and `get_user_identity()` raises it.
"""

import base64
import hmac
import json
from typing import cast

from pyconvex.engine.identity import ADMIN, ANONYMOUS, Identity, acting_as, unusable
from pyconvex.errors import DeveloperError, RequestRefused

_SHORTEST_HEADER = 7


def identify(header: bytes | None, admin_key: str, *, query_key: str | None = None) -> Identity:
    """The identity behind an `Authorization` header.

    Arguments:
        header: its value as received; None when there is none.
        admin_key: the deployment's.
        query_key: an admin key given as `?adminKey=` instead (used for downloads).

    Raises `RequestRefused` with Convex's statuses and codes when it cannot be used.
    """
    if header is None:
        return ANONYMOUS if query_key is None else _admin(query_key, admin_key)
    scheme, credentials = _split(header)
    if scheme == "bearer":
        raise _unverifiable(credentials)
    if scheme == "convex":
        return _admin(credentials, admin_key)
    raise RequestRefused(400, "InvalidAdminKey", "Invalid admin key")


def identify_leniently(header: bytes | None, admin_key: str) -> Identity:
    """As `identify`, but what cannot be used becomes an identity that raises when it is asked for."""
    if header is None:
        return ANONYMOUS
    try:
        return identify(header, admin_key)
    except RequestRefused as error:
        return unusable(error)


def _split(header: bytes) -> tuple[str, str]:
    if len(header) < _SHORTEST_HEADER:
        raise RequestRefused(400, "InvalidHeaderFailure", "The Authorization header is too short")
    if not header.isascii():
        raise RequestRefused(400, "HeaderParseFailure", "The Authorization header may only hold ASCII characters")
    scheme, _, credentials = header.decode("ascii").partition(" ")
    return scheme.lower(), credentials.strip()


def _unverifiable(token: str) -> RequestRefused:
    if token.count(".") != 2 or not all(token.split(".")):
        return RequestRefused(
            401,
            "InvalidAuthHeader",
            "Could not parse JWT payload. Check that the token is a valid JWT format with three base64-encoded parts"
            " separated by dots.",
        )
    return RequestRefused(
        401, "NoAuthProvider", "No auth provider found matching the given token (no providers are configured)."
    )


def _admin(credentials: str, admin_key: str) -> Identity:
    """`name|token`, or `name|token:<base64 of a user identity as JSON>` for acting as that user."""
    prefix = credentials[: credentials.find("|") + 1]
    token, colon, attributes = credentials[len(prefix) :].partition(":")
    if not hmac.compare_digest((prefix + token).encode(), admin_key.encode()):
        raise RequestRefused(401, "BadAdminKey", "The provided admin key was invalid for this instance")
    return _acting_as(attributes) if colon else ADMIN


def _acting_as(text: str) -> Identity:
    try:
        attributes: object = json.loads(base64.b64decode(text, validate=True))
        if isinstance(attributes, dict):
            return acting_as(cast("dict[str, object]", attributes))
    except (DeveloperError, ValueError, RecursionError):
        pass
    raise RequestRefused(400, "InvalidUserIdentity", "The identity to act as is not base64 of a JSON object")
