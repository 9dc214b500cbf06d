"""What the version of a client decides: the forms in which it is answered."""

from functools import lru_cache

from pyconvex.engine.client_version import client_version

_ENCODED_BY_DEFAULT_BELOW = {"npm": (1, 4, 1), "npm-cli": (1, 4, 1), "actions": (1, 4, 1), "python": (0, 5, 0)}


@lru_cache(maxsize=256)
def default_format(header: bytes | None) -> str:
    """The `format` of results for a client that did not name one.

    Arguments:
        header: its `Convex-Client`.

    Raises `RequestRefused` 400: `InvalidClientVersion`, `ClientVersionUnsupported`.
    """
    name, version = client_version(header)
    return "convex_encoded_json" if version < _ENCODED_BY_DEFAULT_BELOW.get(name, (-1,)) else "json"


def wants_structured_lines(header: bytes | None) -> bool:
    """Whether the log endpoints answer this client with log lines as objects instead of strings."""
    return header is not None and client_version(header).name in ("npm-cli", "dashboard", "pyconvex-cli")
