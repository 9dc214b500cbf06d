"""A ring of documents, each of which names the next one, under swaps of three neighbours at a time.

Swaps that do not see each other break the ring: some documents are then in no ring, or in one of their own.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, cast

from pyconvex.schema import define_schema, define_table
from pyconvex.store.transaction import Transaction
from pyconvex.values import Value, v
from pyconvex.values.ids import DocumentId, decode_id
from pyconvex.values.keys import encode_key

RING_SIZE: Final = 9
_NUMBERED = {"number": v.number()}
SCHEMA: Final = define_schema(
    {
        "ring": define_table({"number": v.number(), "next": v.string()}).index("by_number", ["number"]),
        "notes": define_table({"number": v.number()}),
        "swaps": define_table({"caller": v.number(), "count": v.number()}).index("by_caller", ["caller"]),
    }
)


class Abandoned(Exception):
    """What a mutation raises that is to leave nothing."""


Pause = Callable[[], Awaitable[None]]
"""Lets others go on, or not, as the seed has it."""


async def build(transaction: Transaction) -> None:
    ids = [await transaction.insert("ring", {"number": number, "next": ""}) for number in range(RING_SIZE)]
    for here, following in zip(ids, [*ids[1:], ids[0]], strict=True):
        await transaction.patch(decode_id(here), {"next": following})


async def swap(transaction: Transaction, number: int, caller: int, pause: Pause) -> None:
    """a → b → c → d becomes a → c → b → d, and the caller's count of swaps one more."""
    a = await _one(transaction, "ring", "by_number", number)
    await pause()
    b = await _next(transaction, a)
    await pause()
    c = await _next(transaction, b)
    await pause()
    await transaction.patch(_id(a), {"next": c["_id"]})
    await transaction.patch(_id(b), {"next": c["next"]})
    await transaction.patch(_id(c), {"next": b["_id"]})
    await _count(transaction, caller)


async def ring_length(transaction: Transaction, pause: Pause) -> int:
    """How many steps it takes from the first document back to it; 0 when that is not reached."""
    here = first = await _one(transaction, "ring", "by_number", 0)
    for steps in range(1, RING_SIZE + 1):
        here = await _next(transaction, here)
        await pause()
        if here == first:
            return steps
    return 0


async def counts(transaction: Transaction) -> dict[int, int]:
    """The swaps of each caller."""
    index = transaction.index("swaps", "by_caller")
    assert index is not None
    return {cast(int, row["caller"]): cast(int, row["count"]) for row in await transaction.take(index)}


async def note(transaction: Transaction, number: int, pause: Pause, *, fails: bool) -> None:
    """A mutation that only writes: it need not wait for those before it."""
    await transaction.insert("notes", {"number": number})
    await pause()
    await transaction.insert("notes", {"number": number})
    if fails:
        raise Abandoned


async def notes(transaction: Transaction) -> Counter[int]:
    """How often each number was noted."""
    index = transaction.index("notes", "by_creation_time")
    assert index is not None
    return Counter(cast(int, row["number"]) for row in await transaction.take(index))


async def _count(transaction: Transaction, caller: int) -> None:
    index = transaction.index("swaps", "by_caller")
    assert index is not None
    rows = await transaction.take(index, encode_key((caller,)), encode_key((caller + 1,)))
    if rows:
        await transaction.patch(_id(rows[0]), {"count": cast(int, rows[0]["count"]) + 1})
    else:
        await transaction.insert("swaps", {"caller": caller, "count": 1})


async def _one(transaction: Transaction, table: str, index_name: str, number: int) -> dict[str, Value]:
    index = transaction.index(table, index_name)
    assert index is not None
    (row,) = await transaction.take(index, encode_key((number,)), encode_key((number + 1,)))
    return row


async def _next(transaction: Transaction, row: dict[str, Value]) -> dict[str, Value]:
    following = await transaction.get(decode_id(cast(str, row["next"])))
    assert following is not None, "documents of the ring are never deleted"
    return following


def _id(row: dict[str, Value]) -> DocumentId:
    return decode_id(cast(str, row["_id"]))


def some_number(chance: Random) -> int:
    return chance.randrange(RING_SIZE)
