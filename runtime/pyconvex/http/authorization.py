"""Who is asking: the `Authorization` header of a request.

The client API refuses what it cannot verify. HTTP actions never do, since the header may carry a webhook's own key:
there the identity holds the error, and `get_user_identity()` raises it.
"""

from pyconvex.engine.identity import ANONYMOUS, Identity, unusable
from pyconvex.errors import RequestRefused

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


def _split(header: bytes) -> tuple[str, str]:
    if len(header) < _SHORTEST_HEADER:
        raise RequestRefused(400, "InvalidHeaderFailure", "The Authorization header is too short")
    if not header.isascii():
        raise RequestRefused(400, "HeaderParseFailure", "The Authorization header may only hold ASCII characters")
    scheme, _, credentials = header.decode("ascii").partition(" ")
    return scheme.lower(), credentials.strip()
