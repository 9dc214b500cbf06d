"""Writes pairs of documents without end and says on stdout which are acknowledged. Run by test_kill.py, which kills it.

Each mutation inserts one document into `left` and one into `right` with the same number.
"""

import asyncio
import itertools
import os
import sys
from functools import partial
from pathlib import Path

from pyconvex.clock import SystemClock
from pyconvex.schema import define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store.sqlite import SqlitePersistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import v

CALLERS = 16


async def main(path: Path, first: int) -> None:
    store = Store(SqlitePersistence(path), Limits(), SystemClock())
    await store.open()
    side = define_table({"n": v.number(), "padding": v.string()}).index("by_n", ["n"])
    await store.activate(define_schema({"left": side, "right": side}))
    numbers = itertools.count(first)

    async def caller() -> None:
        for number in numbers:
            committed = await store.mutate(partial(pair, number=number))
            os.write(1, f"{number} {committed.ts}\n".encode())

    await asyncio.gather(*[caller() for _ in range(CALLERS)])


async def pair(transaction: Transaction, number: int) -> None:
    padding = "x" * (number * 37 % 3000)
    await transaction.insert("left", {"n": number, "padding": padding})
    await transaction.insert("right", {"n": number, "padding": padding})


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
