"""Forgetting what pyconvex has written into a table of its own when it is too old to be asked for."""

from pyconvex.values.ids import DocumentId, decode_id
from pyconvex.values.keys import encode_key

from .keys import KeyRange
from .schema.catalog import EMPTY_CATALOG, id_in
from .store import Store
from .transaction import Transaction


async def forget_older(store: Store, table: str, before_ms: float, *, at_once: int) -> bool:
    """Delete the oldest documents of a system table, `at_once` at most; whether there may be others.

    Args:
        before_ms: only those created before that moment (milliseconds since 1970).

    Raises:
        StoreFailed: it could not be done.
    """
    old = await _older(store, table, before_ms, at_once)

    async def forget(transaction: Transaction) -> None:
        for each in old:
            if await transaction.get(each) is not None:  # another node may have been quicker
                await transaction.delete(each)

    if old:
        await store.maintain(forget)
    return len(old) == at_once


async def _older(store: Store, table: str, before_ms: float, limit: int) -> list[DocumentId]:
    by_creation_time = EMPTY_CATALOG.system(table).by_creation_time
    span = KeyRange(by_creation_time.number, b"", encode_key((before_ms,)))
    async with store.snapshot() as transaction:
        return [decode_id(id_in(key)) for key in await transaction.reader.keys(span, limit=limit)]
