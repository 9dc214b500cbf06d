"""Who is asking: the `Authorization` header of a request.

The client API refuses what it cannot verify. HTTP actions never do, since the header may carry a webhook's own key:
there the identity holds the error, and `get_user_identity()` raises it.
"""

from urllib.parse import parse_qs

from pyconvex.engine.auth.identity import ANONYMOUS, Identity, unusable
from pyconvex.errors import RequestRefused

from .asgi import Exchange
from .deployment import Deployment

_SHORTEST_HEADER = 7


async def identify(header: bytes | None, deployment: Deployment, *, query_key: str | None = None) -> Identity:
    """The identity behind an `Authorization` header.

    Arguments:
        header: its value as received; None when there is none.
        query_key: an admin key given as `?adminKey=` instead (used for downloads).

    Raises `RequestRefused` with Convex's statuses and codes when it cannot be used.
    """
    if header is None:
        return ANONYMOUS if query_key is None else deployment.authentication.admin(query_key)
    scheme, credentials = _split(header)
    if scheme == "bearer":
        return await deployment.authentication.user(credentials)
    if scheme == "convex":
        return deployment.authentication.admin(credentials)
    raise RequestRefused(400, "InvalidAdminKey", "Invalid admin key")


async def identify_leniently(header: bytes, deployment: Deployment) -> Identity:
    """As `identify`, but what cannot be used becomes an identity that raises when it is asked for."""
    try:
        return await identify(header, deployment)
    except RequestRefused as error:
        return unusable(error)


async def require_admin(exchange: Exchange, deployment: Deployment) -> None:
    """Let the holders of the admin key pass; it may be given as `?adminKey=`.

    Raises `RequestRefused` 401 for a wrong key, 403 for a caller who is no admin.
    """
    key = parse_qs(exchange.query).get("adminKey", [None])[0]
    identity = await identify(exchange.header(b"authorization"), deployment, query_key=key)
    if not identity.is_admin:
        raise RequestRefused(403, "BadDeployKey", "This endpoint needs the admin key of the deployment")


def _split(header: bytes) -> tuple[str, str]:
    if len(header) < _SHORTEST_HEADER:
        raise RequestRefused(400, "InvalidHeaderFailure", "The Authorization header is too short")
    if not header.isascii():
        raise RequestRefused(400, "HeaderParseFailure", "The Authorization header may only hold ASCII characters")
    scheme, _, credentials = header.decode("ascii").partition(" ")
    return scheme.lower(), credentials.strip()
