"""Mutations of which half would show: each writes two documents with the same number and counts itself in a third."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from pyconvex.schema import define_schema, define_table
from pyconvex.settings import Limits
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value, v
from pyconvex.values.ids import decode_id
from pyconvex.values.keys import encode_key

CALLERS: Final = 16
_SIDE = define_table({"n": v.number(), "padding": v.string()}).index("by_n", ["n"])
_TALLIES = define_table({"caller": v.number(), "count": v.number()}).index("by_caller", ["caller"])
SCHEMA: Final = define_schema({"left": _SIDE, "right": _SIDE, "tallies": _TALLIES})
LIMITS: Final = Limits(read_documents=10**6, read_bytes=2**40, read_ranges=10**6)


class Refused(Exception):
    """A number that was acknowledged not to have been written is there."""


async def write(store: Store, first: int, acknowledge: Callable[[int, int], object], *, refused: set[int]) -> None:
    """Write the numbers from `first` on, for ever. `acknowledge` hears each with its timestamp.

    Args:
        refused: numbers are added of which the store says that nothing was kept.
    """
    numbers = itertools.count(first)

    async def caller(name: int) -> None:
        for number in numbers:
            try:
                committed = await store.mutate(partial(pair, number=number, caller=name))
            except StoreFailed:
                refused.add(number)
                await asyncio.sleep(0.01)
            else:
                acknowledge(number, committed.ts)

    await asyncio.gather(*[caller(name) for name in range(CALLERS)])


async def pair(transaction: Transaction, number: int, caller: int) -> None:
    padding = "x" * (number * 37 % 3000)
    await transaction.insert("left", {"n": number, "padding": padding})
    await transaction.insert("right", {"n": number, "padding": padding})
    rows = await _rows(transaction, "tallies", "by_caller", encode_key((caller,)), encode_key((caller + 1,)))
    if rows:
        await transaction.patch(decode_id(str(rows[0]["_id"])), {"count": cast(int, rows[0]["count"]) + 1})
    else:
        await transaction.insert("tallies", {"caller": caller, "count": 1})


async def numbers_since(store: Store, first: int) -> tuple[set[int], int]:
    """The numbers from `first` on, the same on both sides and none twice, and the newest timestamp."""
    async with store.snapshot() as transaction:
        sides = [
            Counter(int(cast(float, row["n"])) for row in await _rows(transaction, side, "by_n", encode_key((first,))))
            for side in ("left", "right")
        ]
        assert sides[0] == sides[1], "half a mutation is visible"
        assert set(sides[0].values()) <= {1}, "a mutation was done twice"
        return set(sides[0]), transaction.ts


async def check_all(store: Store) -> None:
    """Each index has all documents, and each mutation has counted itself once."""
    async with store.snapshot() as transaction:
        tables = {
            table: [
                sorted(await _rows(transaction, table, index), key=lambda row: str(row["_id"]))
                for index in ("by_id", "by_creation_time", own)
            ]
            for table, own in (("left", "by_n"), ("right", "by_n"), ("tallies", "by_caller"))
        }
        for found in tables.values():
            assert found[0] == found[1] == found[2]
            for row in found[0][::50]:
                assert await transaction.get(decode_id(str(row["_id"]))) == row
        counted = sum(cast(int, row["count"]) for row in tables["tallies"][0])
        assert counted == len(tables["left"][0]) == len(tables["right"][0])


async def _rows(
    transaction: Transaction, table: str, index: str, start: bytes = b"", stop: bytes | None = None
) -> list[dict[str, Value]]:
    found = transaction.index(table, index)
    assert found is not None
    return await transaction.take(found, start, stop)
