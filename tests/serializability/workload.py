"""Random transactions over a table of lists and one of registers, and the record of what they did and saw.

Whoever shares an arena meets the same few documents, so that transactions come in each other's way. A new arena has
groups of its own, and its history can be checked alone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from random import Random
from typing import Any, Final, cast

import msgspec

from pyconvex.schema import define_schema, define_table
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction as StoreTransaction
from pyconvex.values import Value, v
from pyconvex.values.ids import decode_id
from pyconvex.values.keys import encode_key

from .history import NOTHING, History, Layer, Operation, Outcome, Read, Scan, Seen, Transaction, Write

LISTS: Final = "lists"
REGISTERS: Final = "registers"
SCHEMA: Final = define_schema(
    {
        LISTS: define_table({"group": v.number(), "values": v.array(v.number())}).index("by_group", ["group"]),
        REGISTERS: define_table({"group": v.number(), "value": v.number()}).index("by_group", ["group"]),
    }
)

GROUPS: Final = 24
LIVE_DOCUMENTS: Final = 12
"""How many documents of a table are written to at a time: the newest of those that are known."""
_NUMBERS_PER_CLIENT: Final = 10_000_000


class Arena(msgspec.Struct):
    """One group of clients' share in a history.

    Args:
        client: tells this process's numbers from those of others.
        first_group: GROUPS groups from this one on belong to the arena.
        lists, registers: ids of documents that are there.
        queries: the share of queries among the transactions.
    """

    seed: int
    client: int
    first_group: int
    transactions: int
    callers: int
    lists: list[str] = []
    registers: list[str] = []
    queries: float = 0.3


class Abandoned(Exception):
    """Makes a mutation or a sub-transaction fail."""


async def run(
    store: Store, arena: Arena, numbers: Iterator[int] | None = None, kind: type[StoreTransaction] = StoreTransaction
) -> History:
    """Run an arena's transactions, so many callers at a time."""
    chance = Random(arena.seed)
    client = Client(store, arena, numbers or count(1 + arena.client * _NUMBERS_PER_CLIENT), kind)
    left = iter(range(arena.transactions))

    async def caller() -> None:
        for place in left:
            await client.transact(f"{arena.client}.{arena.first_group}.{place}", chance.randrange(2**32))

    await asyncio.gather(*[caller() for _ in range(arena.callers)])
    return client.history


class Client:
    def __init__(self, store: Store, arena: Arena, numbers: Iterator[int], kind: type[StoreTransaction]) -> None:
        self.history: History = []
        self._store = store
        self._arena = arena
        self._numbers = numbers
        self._kind = kind
        self._known = {LISTS: dict.fromkeys(arena.lists), REGISTERS: dict.fromkeys(arena.registers)}

    async def transact(self, name: str, seed: int) -> None:
        """One transaction with the choices of its seed, and its place in the history."""
        if Random(seed).random() < self._arena.queries:
            await self._query(name, seed)
        else:
            await self._mutation(name, seed)

    async def _query(self, name: str, seed: int) -> None:
        begun, live = time.monotonic_ns(), self._live()
        async with self._store.snapshot() as transaction:
            steps = self._steps(transaction, seed, live)
            await steps.look()
            ts = transaction.reader.ts
        self._record(Transaction(name, steps.operations, begun, time.monotonic_ns(), ts), steps)

    async def _mutation(self, name: str, seed: int) -> None:
        begun, live = time.monotonic_ns(), self._live()
        last: list[tuple[Steps, int]] = []

        async def work(transaction: StoreTransaction) -> None:
            steps = self._steps(transaction, seed, live)
            try:
                await steps.change()
            finally:
                last[:] = [(steps, transaction.reader.ts)]

        outcome = Outcome.COMMITTED
        ts = 0
        try:
            ts = (await self._store.mutate(work, label=name, kind=self._kind)).ts
        except Exception as error:
            unknown = isinstance(error, StoreFailed) and error.code == "CommitUnknown"
            outcome = Outcome.UNKNOWN if unknown else Outcome.FAILED
        if last:
            steps, seen_ts = last[0]
            ended = time.monotonic_ns()
            self._record(Transaction(name, steps.operations, begun, ended, ts or seen_ts, outcome), steps)

    def _live(self) -> dict[str, list[str]]:
        """The documents to choose from, drawn before a transaction begins: so it finds all that were not deleted."""
        return {table: list(known)[-LIVE_DOCUMENTS:] for table, known in self._known.items()}

    def _steps(self, transaction: StoreTransaction, seed: int, live: dict[str, list[str]]) -> "Steps":
        return Steps(transaction, Random(seed), self._arena.first_group, self._numbers, live)

    def _record(self, transaction: Transaction, steps: "Steps") -> None:
        self.history.append(transaction)
        if transaction.outcome is Outcome.COMMITTED:
            for table, document in steps.met:
                self._known[table].setdefault(document)


class Steps:
    """What one transaction does, operation by operation."""

    def __init__(
        self,
        transaction: StoreTransaction,
        chance: Random,
        first_group: int,
        numbers: Iterator[int],
        live: dict[str, list[str]],
    ) -> None:
        self.operations: list[Operation] = []
        self.met: list[tuple[str, str]] = []
        self._transaction = transaction
        self._chance = chance
        self._first_group = first_group
        self._numbers = numbers
        self._live = live

    async def look(self) -> None:
        for _ in range(self._chance.randint(1, 8)):
            await self._pick({self._read: 3, self._scan: 2})
            if self._chance.random() < 0.7:
                await asyncio.sleep(self._chance.choice([0, 0.001]))

    async def change(self) -> None:
        for _ in range(self._chance.randint(1, 5)):
            await self._one_change()
            if self._chance.random() < 0.05:
                await asyncio.sleep(0)
        if self._chance.random() < 0.05:
            raise Abandoned

    def _one_change(self) -> Awaitable[None]:
        return self._pick(
            {
                self._read: 3,
                self._scan: 2,
                self._append: 4,
                self._insert_list: 0.5,
                self._insert_register: 0.7,
                self._set: 3,
                self._move: 0.7,
                self._delete: 0.3,
                self._layer: 1,
            }
        )

    def _pick(self, choices: dict[Callable[[], Awaitable[None]], float]) -> Awaitable[None]:
        (chosen,) = self._chance.choices([*choices], [*choices.values()])
        return chosen()

    # --- reading

    async def _read(self) -> None:
        table = self._chance.choice([LISTS, REGISTERS])
        if document := self._any_of(table):
            await self._see(table, document)

    async def _see(self, table: str, document: str) -> dict[str, Value] | None:
        row = await self._transaction.get(decode_id(document))
        self.operations.append(Read(document, _seen(table, row)))
        return row

    async def _scan(self) -> None:
        """A range of groups, from either end, sometimes only the first few documents of it."""
        table = self._chance.choice([LISTS, REGISTERS])
        low = self._any_group()
        high = low + self._chance.randint(1, 3)
        reverse, limit = self._chance.random() < 0.3, self._chance.choice([None, None, 1, 4])
        index = self._transaction.index(table, "by_group")
        assert index is not None
        span = partial(self._transaction.take if self._chance.random() < 0.7 else self._one_by_one, index)
        rows = await span(encode_key((low,)), encode_key((high,)), reverse=reverse, limit=limit)
        self.met += [(table, str(row["_id"])) for row in rows]
        if limit is not None and len(rows) == limit:
            # Nothing is said of the rest of the last group.
            last = _group(rows[-1])
            for row in rows:
                if _group(row) == last:
                    self.operations.append(Read(str(row["_id"]), _seen(table, row)))
            rows = [row for row in rows if _group(row) != last]
            low, high = (last + 1, high) if reverse else (low, last)
        self.operations.append(Scan(table, low, high, {str(row["_id"]): _seen(table, row) for row in rows}))

    async def _one_by_one(self, *arguments: Any, **options: Any) -> list[dict[str, Value]]:
        return [row async for row in self._transaction.scan(*arguments, **options)]

    # --- writing

    async def _append(self) -> None:
        document = self._any_of(LISTS)
        if not document:
            await self._insert_list()
            return
        # Only the place in the list tells what was read here.
        row = await self._transaction.get(decode_id(document))
        assert row is not None, "lists are never deleted"
        number = next(self._numbers)
        await self._transaction.patch(decode_id(document), {"values": [*cast("list[Value]", row["values"]), number]})
        self.operations.append(Write(LISTS, document, number, _group(row)))

    async def _insert_list(self) -> None:
        number, group = next(self._numbers), self._any_group()
        document = await self._transaction.insert(LISTS, {"group": group, "values": [number]})
        self._wrote(Write(LISTS, document, number, group))

    async def _insert_register(self) -> None:
        number, group = next(self._numbers), self._any_group()
        document = await self._transaction.insert(REGISTERS, {"group": group, "value": number})
        self._wrote(Write(REGISTERS, document, number, group, NOTHING))

    async def _set(self, *, move: bool = False) -> None:
        document = self._any_of(REGISTERS)
        row = await self._see(REGISTERS, document) if document else None
        if row is None:
            await self._insert_register()
            return
        number, group = next(self._numbers), self._any_group() if move else _group(row)
        await self._transaction.patch(decode_id(document), {"value": number, "group": group})
        self._wrote(Write(REGISTERS, document, number, group, cast(int, row["value"])))

    def _move(self) -> Awaitable[None]:
        return self._set(move=True)

    async def _delete(self) -> None:
        document = self._any_of(REGISTERS)
        row = await self._see(REGISTERS, document) if document else None
        if row is not None:
            await self._transaction.delete(decode_id(document))
            self._wrote(Write(REGISTERS, document, next(self._numbers), None, cast(int, row["value"])))

    async def _layer(self) -> None:
        outer, self.operations = self.operations, []
        met = len(self.met)
        kept = False
        try:
            with self._transaction.layer():
                for _ in range(self._chance.randint(1, 3)):
                    await self._one_change()
                if self._chance.random() < 0.5:
                    raise Abandoned
            kept = True
        except Abandoned:
            del self.met[met:]
        finally:
            outer.append(Layer(self.operations, kept))
            self.operations = outer

    def _wrote(self, write: Write) -> None:
        self.operations.append(write)
        self.met.append((write.table, write.document))

    def _any_of(self, table: str) -> str:
        return self._chance.choice(self._live[table]) if self._live[table] else ""

    def _any_group(self) -> int:
        return self._first_group + self._chance.randrange(GROUPS)


def _group(row: dict[str, Value]) -> int:
    return cast(int, row["group"])


def _seen(table: str, row: dict[str, Value] | None) -> Seen:
    if table == LISTS:
        return () if row is None else tuple(cast("list[int]", row["values"]))
    return NOTHING if row is None else cast(int, row["value"])
