"""Mutations of sessions, each done once however often its client asks: the outcome is written down with its effects.

A client that lost its connection does not know which of its mutations were done, and sends them again under the same
session and request ids. https://docs.convex.dev/functions/error-handling/#errors-in-mutations

A record's id is made from those two, so that looking for it is reading one document, and two nodes that do the same
request at the same moment come into conflict.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from pyconvex.engine.jobs.jobs import apart
from pyconvex.engine.runner import Outcome
from pyconvex.engine.transactions import Done
from pyconvex.store.forgetting import forget_older
from pyconvex.store.schema.catalog import EMPTY_CATALOG, SESSION_REQUESTS
from pyconvex.values.ids import INTERNAL_BYTES, DocumentId

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyconvex.engine.execution import Execution
    from pyconvex.store.store import Store
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

KEPT_MS: Final = 14 * 86_400_000.0
"""How long a client may take to ask again."""
_FORGOTTEN_AT_ONCE: Final = 64
_TABLE: Final = EMPTY_CATALOG.system(SESSION_REQUESTS)


class SessionRequest:
    """One request of one session. For `run_mutation` it is what surrounds the function in its transaction.

    Args:
        committing: told True when the function is done and all that is left is the commit; False before it runs.
    """

    __slots__ = ("_committing", "_id")

    def __init__(self, session: str, request: int, committing: Callable[[bool], None]) -> None:
        self._id = DocumentId(_TABLE.number, _digest(session, request)[:INTERNAL_BYTES])
        self._committing = committing

    async def look_up(self, store: Store) -> Outcome | None:
        """How the request ended, when it was done before, whatever has become of its function since."""
        async with store.snapshot() as transaction:
            done = await self._done(transaction)
        return None if done is None else Outcome(done.value, log_lines=done.log_lines, ts=done.ts)

    async def begin(self, transaction: Transaction) -> None:
        """Raises `Done` when the request was done before."""
        self._committing(False)
        if (done := await self._done(transaction)) is not None:
            raise done

    async def end(self, transaction: Transaction, execution: Execution, value: Value) -> None:
        """Writes down how the request ended."""
        execution.flush_lines()
        lines: list[Value] = [*execution.log_texts]
        transaction.insert_twin(SESSION_REQUESTS, self._id, {"result": value, "lines": lines})
        self._committing(True)

    async def _done(self, transaction: Transaction) -> Done | None:
        with apart(transaction):
            record = await transaction.get(self._id)
        if record is None:
            return None
        return Done(record["result"], cast("list[str]", record["lines"]), transaction.ts)


def request_number(session: str, request: int) -> str:
    """What error texts and logs call a request of a session, so that clients can tell too: 16 hex digits."""
    return _digest(session, request)[:8].hex()


async def forget_some(store: Store, now_ms: float) -> bool:
    """Deletes some of the records that nobody will ask for any more; whether there may be others."""
    return await forget_older(store, SESSION_REQUESTS, now_ms - KEPT_MS, at_once=_FORGOTTEN_AT_ONCE)


def _digest(session: str, request: int) -> bytes:
    return sha256(f"{session}|{request}".encode()).digest()
