"""Which code is the newest where several processes share a database: deployments are numbered, and their numbers kept.

Every push of other code than the newest takes the next number, also one of code that had a number before: the last push
counts. A push of the same code takes the same number, so the processes of one deployment are equals.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from pyconvex.store.schema.catalog import DEPLOYMENTS, EMPTY_CATALOG
from pyconvex.values.ids import decode_id

from .persistence import StoreFailed
from .transaction import Transaction

if TYPE_CHECKING:
    from pyconvex.store.schema.activation import Also

    from .keys import Commit
    from .store import Store

KEPT: Final = 20
"""Deployments that are remembered, for people to look at."""

_TABLE: Final = EMPTY_CATALOG.system(DEPLOYMENTS)


class Deployed(NamedTuple):
    """A deployment: its number, and the digest of its code."""

    number: int
    code: str


class Deployments:
    """What one process knows of the deployments on its database.

    Args:
        changed: called when `is_newest` may have changed.
    """

    def __init__(self, store: "Store", changed: Callable[[], object]) -> None:
        self.newest = Deployed(0, "")
        self._store = store
        self._changed = changed
        self._serving = ""
        self._looking: asyncio.Task[None] | None = None
        self._again = False
        store.on_commit(self._hear)

    @property
    def is_newest(self) -> bool:
        """Whether this process serves the newest code: then jobs are its business."""
        return self._serving == self.newest.code

    def push(self, code: str) -> "Also":
        """What the mutation of a push is to write, for code of that digest."""

        async def write(transaction: Transaction) -> None:
            await _number(transaction, code, self._store.node)

        return write

    async def serve(self, code: str) -> None:
        """This process serves code of that digest from now on; it was pushed before."""
        self._serving = code
        await self._look()

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _hear(self, commit: "Commit") -> None:
        if not commit.touches(_TABLE.by_id.number):
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._keep_looking(), name="look for newer deployments")
        else:
            self._again = True

    async def _keep_looking(self) -> None:
        # Should the database be away, the first commits after that are told of as missed.
        with suppress(StoreFailed):
            await self._look()
            while self._again:
                self._again = False
                await self._look()

    async def _look(self) -> None:
        async with self._store.snapshot() as transaction:
            rows = await _rows(transaction)
        self.newest = max(rows, default=(Deployed(0, ""), ""))[0]
        self._changed()


async def _rows(transaction: Transaction) -> list[tuple[Deployed, str]]:
    """The deployments, with the ids of their documents."""
    rows = [row async for row in transaction.scan(_TABLE.by_creation_time)]
    return [(Deployed(cast(int, row["number"]), cast(str, row["code"])), cast(str, row["_id"])) for row in rows]


async def _number(transaction: Transaction, code: str, node: int) -> None:
    rows = sorted(await _rows(transaction))
    newest = rows[-1][0] if rows else Deployed(0, "")
    if newest.code == code:
        return
    await transaction.insert(DEPLOYMENTS, {"number": newest.number + 1, "code": code, "node": node})
    for _, old in rows[: 1 - KEPT]:
        await transaction.delete(decode_id(old))
