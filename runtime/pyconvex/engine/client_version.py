"""Which client calls: `npm-1.48.0`, as its `Convex-Client` header or the path of its WebSocket says."""

import re
from functools import lru_cache
from typing import NamedTuple

from pyconvex.errors import RequestRefused

_TEXT = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_-]*?)-(?P<version>\d{1,9}\.\d{1,9}\.\d{1,9})(?:[-+][0-9A-Za-z.+-]*)?")

_UNSUPPORTED_UP_TO = {
    "npm": (0, 19, 1),
    "npm-cli": (0, 19, 1),
    "actions": (0, 19, 1),
    "python": (0, 0, 2),
    "rust": (0, 0, 1),
}


class ClientVersion(NamedTuple):
    name: str
    """`npm`, `python`, …; empty for a client that does not say."""
    version: tuple[int, ...]

    @property
    def joins_chunks(self) -> bool:
        """Whether it puts a large Transition together from pieces."""
        return self.name == "npm" and self.version >= (1, 28, 0)


UNNAMED = ClientVersion("", (1, 0, 0))


@lru_cache(maxsize=256)
def client_version(header: bytes | None) -> ClientVersion:
    """The client that a `Convex-Client` header names, `UNNAMED` without one.

    Raises `RequestRefused` 400: `InvalidClientVersion` when it is not `<name>-<major.minor.patch>`,
    `ClientVersionUnsupported` when the client is too old.
    """
    client = UNNAMED if header is None else _parse(header)
    if client.version <= _UNSUPPORTED_UP_TO.get(client.name, (-1,)):
        raise RequestRefused(
            400,
            "ClientVersionUnsupported",
            f"The Convex client {client.name} {'.'.join(map(str, client.version))} is no longer supported. "
            "Please update it.",
        )
    return client


def _parse(header: bytes) -> ClientVersion:
    match = _TEXT.fullmatch(header.decode("latin-1").strip())
    if match is None:
        raise RequestRefused(400, "InvalidClientVersion", "The Convex-Client header must be <name>-<version>")
    return ClientVersion(match["name"], tuple(map(int, match["version"].split("."))))
