"""Writes pairs without end and says on stdout which are acknowledged. Run by test_kill.py, which kills it.

For each number on stdin it forks a child that writes from there on, so that the imports are paid for once. The child's
lines come between those with its process id and with "dead".
"""

import asyncio
import os
import sys

from support.pairs import LIMITS, write
from support.stores import Database


async def main(database: Database, first: int) -> None:
    async with database.open(limits=LIMITS) as store:
        await write(store, first, lambda number, ts: os.write(1, f"{number} {ts}\n".encode()), refused=set())


if __name__ == "__main__":
    kind, place = sys.argv[1:]
    if kind == "postgres":
        pass  # the child is to have it already
    while line := sys.stdin.readline():
        if not (child := os.fork()):
            asyncio.run(main(Database(kind, place), int(line)))
        os.write(1, f"{child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")
