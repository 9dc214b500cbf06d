"""Index keys beyond what a database keeps in its own index: order, ranges, changes."""

import asyncio
from itertools import pairwise

from pyconvex.schema import define_schema, define_table
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from pyconvex.values import v
from pyconvex.values.ids import decode_id
from pyconvex.values.keys import encode_key
from support.stores import OpenStore

SCHEMA = define_schema({"notes": define_table({"text": v.string()}).index("by_text", ["text"])})
# Around 2,500 bytes, where PostgreSQL's index ends; the key has a type before the text and a zero behind it.
COMMON = "x" * 2_490
TEXTS = sorted(
    [COMMON[:length] for length in (1, 2_488, 2_489)]
    + [COMMON + "y" * length for length in range(16)]
    + [COMMON + "x" * 60 + letter * 500 for letter in "abcdefgh"]
    + [COMMON + "x" * 60 + "a" * 500 + letter for letter in "bca"]
    + [COMMON + "z", "y", "a"]
)


async def texts(
    transaction: Transaction,
    start: bytes = b"",
    stop: bytes | None = None,
    *,
    reverse: bool = False,
    limit: int | None = None,
) -> list[object]:
    index = transaction.index("notes", "by_text")
    assert index is not None
    taken = await transaction.take(index, start, stop, reverse=reverse, limit=limit)
    return [document["text"] for document in taken]


def test_long_keys_are_found_in_their_order_and_from_anywhere(open_store: OpenStore) -> None:
    async def main() -> None:
        async with open_store(SCHEMA) as store:
            await fill(store)
            async with store.snapshot() as transaction:
                assert await texts(transaction) == TEXTS
                assert await texts(transaction, reverse=True) == TEXTS[::-1]
                for low, high in zip(TEXTS, TEXTS[5:], strict=False):
                    start, stop = encode_key((low,)), encode_key((high,))
                    expected = [text for text in TEXTS if low <= text < high]
                    assert await texts(transaction, start, stop) == expected
                    assert await texts(transaction, start, stop, reverse=True) == expected[::-1]
                    assert await texts(transaction, start, limit=2) == TEXTS[TEXTS.index(low) :][:2]
                    assert (
                        await texts(transaction, b"", stop, reverse=True, limit=2)
                        == (TEXTS[: TEXTS.index(high)][::-1][:2])
                    )

    asyncio.run(main())


def test_documents_move_between_long_keys(open_store: OpenStore) -> None:
    async def main() -> None:
        async with open_store(SCHEMA) as store:
            ids = await fill(store)
            for text, next_text in pairwise(TEXTS):
                await store.mutate(lambda t, note=ids[text], text=next_text: t.patch(decode_id(note), {"text": text}))
            await store.mutate(lambda t: t.delete(decode_id(ids[TEXTS[-1]])))
            async with store.snapshot() as transaction:
                assert await texts(transaction) == TEXTS[1:]

    asyncio.run(main())


def test_an_index_of_long_keys_is_built_and_dropped(open_store: OpenStore) -> None:
    async def main() -> None:
        async with open_store(define_schema({"notes": define_table({"text": v.string()})})) as store:
            await fill(store)
            await store.activate(SCHEMA)
            async with store.snapshot() as transaction:
                assert await texts(transaction) == TEXTS
            await store.activate(define_schema({"notes": define_table({"text": v.string()})}))
            async with asyncio.timeout(10):
                while store.catalog.dropped:
                    await asyncio.sleep(0.005)

    asyncio.run(main())


async def fill(store: Store) -> dict[str, str]:
    """All texts as documents, by text their ids; not in order."""

    async def work(transaction: Transaction) -> dict[str, str]:
        shuffled = TEXTS[::2] + TEXTS[1::2][::-1]
        return {text: await transaction.insert("notes", {"text": text}) for text in shuffled}

    return (await store.mutate(work)).value
