"""Free ports on loopback for servers that are told theirs: no two test processes are ever given the same one.

A port that the system calls free may be anybody's a moment later, a connection's own end among them. So each test
process claims a block of ports below those that the system gives away itself, by holding the first of them.
"""

import itertools
import os
import socket
from functools import cache

FIRST, LAST = 12_000, 32_000
BLOCK = 100


def free_port() -> int:
    """A port that nobody uses and no other test process is given; the longest unused of ours."""
    _, ports = _block()
    for port in itertools.islice(ports, BLOCK):
        if taken := _take(port, again=True):
            taken.close()
            return port
    raise AssertionError("all ports of this test process are in use")


@cache
def _block() -> tuple[socket.socket, "itertools.cycle[int]"]:
    """The socket that keeps the block ours until this process ends, and the block's ports in turn."""
    blocks = range(FIRST, LAST, BLOCK)
    mine = os.getpid() % len(blocks)
    for first in (*blocks[mine:], *blocks[:mine]):
        if guard := _take(first):
            return guard, itertools.cycle(range(first + 1, first + BLOCK))
    raise AssertionError(f"other test processes hold all ports from {FIRST} to {LAST}")


def _take(port: int, *, again: bool = False) -> socket.socket | None:
    """The socket that holds the port; `again` says that connections of a server that has ended are no hindrance."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, again)
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        taken.close()
        return None
    return taken
