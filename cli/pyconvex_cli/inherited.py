"""What a worker of `pyconvex start --workers N` gets from its parent, besides the command line."""

import os
from socket import socket
from typing import Final

from msgspec import Struct

from pyconvex.host import Sockets

VARIABLE: Final = "_PYCONVEX_WORKER"


class Inherited(Struct, frozen=True):
    """A worker's number and its addresses."""

    number: int
    api: int
    """Descriptors of the listening sockets."""
    site: int
    first: bool
    """Whether this is the first process of the deployment that its parent has started."""

    def environment(self) -> dict[str, str]:
        """What tells a process that it is this worker."""
        return {VARIABLE: f"{self.number}:{self.api}:{self.site}:{int(self.first)}"}

    @classmethod
    def take(cls) -> "Inherited | None":
        """This process's, if it is a worker. Processes that it starts are none."""
        text = os.environ.pop(VARIABLE, None)
        if text is None:
            return None
        number, api, site, first = map(int, text.split(":"))
        return cls(number, api, site, bool(first))

    def sockets(self) -> Sockets:
        return Sockets(socket(fileno=self.api), socket(fileno=self.site))
