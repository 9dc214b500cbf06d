"""The `Convex-Client` header: which client calls, and what an old one has to be answered with."""

import re
from functools import lru_cache

from pyconvex.errors import RequestRefused

_HEADER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*?)-(?P<version>\d+\.\d+\.\d+)(?:[-+][0-9A-Za-z.+-]*)?")

_UNSUPPORTED_UP_TO = {
    "npm": (0, 19, 1),
    "npm-cli": (0, 19, 1),
    "actions": (0, 19, 1),
    "python": (0, 0, 2),
    "rust": (0, 0, 1),
}
_ENCODED_BY_DEFAULT_BELOW = {"npm": (1, 4, 1), "npm-cli": (1, 4, 1), "actions": (1, 4, 1), "python": (0, 5, 0)}

_ANY = ("", (1, 0, 0))


@lru_cache(maxsize=256)
def default_format(header: bytes | None) -> str:
    """The `format` of results for a client that did not name one.

    Raises `RequestRefused` 400: `InvalidClientVersion` when the header is not `<name>-<major.minor.patch>`,
    `ClientVersionUnsupported` when the client is too old.
    """
    name, version = _ANY if header is None else _parse(header)
    if version <= _UNSUPPORTED_UP_TO.get(name, (-1,)):
        raise RequestRefused(
            400,
            "ClientVersionUnsupported",
            f"The Convex client {name} {'.'.join(map(str, version))} is no longer supported. Please update it.",
        )
    return "convex_encoded_json" if version < _ENCODED_BY_DEFAULT_BELOW.get(name, (-1,)) else "json"


def wants_structured_lines(header: bytes | None) -> bool:
    """Whether the log endpoints answer this client with log lines as objects instead of strings."""
    return header is not None and _parse(header)[0] in ("npm-cli", "dashboard", "pyconvex-cli")


def _parse(header: bytes) -> tuple[str, tuple[int, ...]]:
    match = _HEADER.fullmatch(header.decode("latin-1").strip())
    if match is None:
        raise RequestRefused(400, "InvalidClientVersion", "The Convex-Client header must be <name>-<version>")
    return match["name"], tuple(map(int, match["version"].split(".")))
