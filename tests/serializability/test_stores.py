"""Random concurrent histories on real stores: nothing is found in them, and something where isolation is broken."""

import asyncio
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from pyconvex.clock import SystemClock
from pyconvex.settings import Limits
from pyconvex.store.persistence import Persistence
from pyconvex.store.store import Store
from pyconvex.store.transaction import Transaction
from serializability.checker import check
from serializability.history import History, Outcome
from serializability.processes import nodes
from serializability.timestamps import check_timestamps
from serializability.weakened import LeakyLayers, MixedSnapshots, StaleReads, Uncertified, Whole
from serializability.workload import GROUPS, SCHEMA, Arena, run
from support.stores import Database, database_of

TRANSACTIONS = int(os.environ.get("PYCONVEX_TRANSACTIONS", "1500"))
"""In each of the three ways to run them."""
ARENA_TRANSACTIONS = 1500
CALLERS = 12
SEED = int(os.environ.get("PYCONVEX_SEED", "1"))

pytestmark = pytest.mark.faults


@pytest.fixture(params=["file", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path):
    with database_of(request.param, tmp_path) as database:
        yield database


def assert_serializable(history: History) -> None:
    found = [*check(history), *check_timestamps(history)]
    assert not found, f"seed {SEED}:\n" + "\n".join(map(str, found[:20]))
    committed = sum(transaction.outcome is Outcome.COMMITTED for transaction in history)
    assert committed > 0.8 * len(history)


def test_histories_are_serializable(database: Database) -> None:
    async def main() -> None:
        async with database.open(SCHEMA) as store:
            numbers = count(1)
            for place in range(0, TRANSACTIONS, ARENA_TRANSACTIONS):
                arena = Arena(SEED + place, 0, place * GROUPS, min(ARENA_TRANSACTIONS, TRANSACTIONS), CALLERS)
                history = await run(store, arena, numbers)
                assert len(history) == arena.transactions
                assert_serializable(history)

    asyncio.run(main())


NODES = 3


def test_histories_of_three_processes_are_serializable(tmp_path: Path) -> None:
    with database_of("postgres", tmp_path) as database, nodes(database.place, NODES) as started:
        asyncio.run(_prepare(database))
        for place in range(0, TRANSACTIONS, ARENA_TRANSACTIONS):
            wanted = min(ARENA_TRANSACTIONS, TRANSACTIONS) // NODES
            for client, node in enumerate(started):
                node.begin(Arena(SEED + place + client, client, place * GROUPS, wanted, CALLERS // NODES))
            history = [transaction for node in started for transaction in node.end()]
            assert len(history) == NODES * wanted
            assert_serializable(history)


async def _prepare(database: Database) -> None:
    async with database.open(SCHEMA):
        pass


FOUND_WITHIN = 3000
"""Transactions after which a broken store has to be caught."""

Weaken = Callable[[Persistence], Persistence]


@pytest.mark.parametrize(
    ("kind", "weaken", "transaction"),
    [
        ("file", StaleReads, Transaction),
        ("file", MixedSnapshots, Transaction),
        ("file", Whole, LeakyLayers),
        ("postgres", Uncertified, Transaction),
        ("postgres", MixedSnapshots, Transaction),
    ],
)
def test_broken_isolation_is_found(kind: str, weaken: Weaken, transaction: type[Transaction], tmp_path: Path) -> None:
    async def main(database: Database) -> set[str]:
        clock = SystemClock()
        store = Store(weaken(database.persistence(clock)), Limits(), clock)
        await store.open()
        try:
            await store.activate(SCHEMA)
            numbers = count(1)
            for place in range(0, FOUND_WITHIN, 300):
                history = await run(store, Arena(SEED + place, 0, place * GROUPS, 300, CALLERS), numbers, transaction)
                if found := check(history):
                    return {anomaly.kind for anomaly in found}
        finally:
            await store.close()
        return set()

    with database_of(kind, tmp_path) as database:
        found = asyncio.run(main(database))
        assert found, f"{FOUND_WITHIN} transactions passed for serializable"
        print(sorted(found))
