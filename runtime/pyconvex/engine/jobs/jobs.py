"""Scheduled functions as documents: https://docs.convex.dev/scheduling/scheduled-functions

Each is two documents with one internal id: that of `_scheduled_functions`, which users read, with all there is to know,
and a small one of `_jobs`, which says what is to be done with it next, and when. So scheduling is two inserts in the
mutation's own transaction, what is due is found with one read of an index, and every step of a job is a change of both.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct

from pyconvex.store.keys import KeyRange
from pyconvex.store.schema.catalog import BY_DUE, EMPTY_CATALOG, JOBS, SCHEDULED_FUNCTIONS, Index
from pyconvex.store.usage import UNLIMITED, Usage
from pyconvex.values.ids import DocumentId, decode_id
from pyconvex.values.keys import behind, encode_key

if TYPE_CHECKING:
    from pyconvex.store.keys import Commit, DocumentChange
    from pyconvex.store.transaction import Transaction
    from pyconvex.values.value import Value

KEPT_MS: Final = 7 * 86_400_000.0
"""How long one can still look at a job that has ended."""
LOST: Final = "Transient error while executing action"
"""The error of an action whose process was gone before it had ended."""

_SCHEDULED: Final = EMPTY_CATALOG.system(SCHEDULED_FUNCTIONS).number
_JOBS: Final = EMPTY_CATALOG.system(JOBS)
_BY_DUE: Final = [index.name for index in _JOBS.indexes].index(BY_DUE)


class State(StrEnum):
    """`state.kind` of a document of `_scheduled_functions`."""

    PENDING = "pending"
    IN_PROGRESS = "inProgress"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"


class Phase(StrEnum):
    """What a document of `_jobs` is there for; its `due` is the time of that."""

    WAITING = "waiting"
    """To be run. A mutation stays so until the commit that makes it done."""
    RUNNING = "running"
    """An action that was begun by the process `node`."""
    DONE = "done"
    """To be forgotten."""


class Waiting(Struct, frozen=True):
    """A job that is to be run; `due` is in milliseconds since 1970, `key` is where it stands in the order."""

    id: DocumentId
    due: float
    key: bytes


class Job(Struct, frozen=True):
    """What a job is to do. `id` is the one that users know."""

    id: DocumentId
    name: str
    args: Value


_PREFIXES: Final = {phase: encode_key((phase.value,)) for phase in Phase}
_WAITING: Final = _PREFIXES[Phase.WAITING]
_DUE_BYTES: Final = len(encode_key((0.0,)))
OUTSTANDING: Final = KeyRange(_JOBS.numbers[_BY_DUE], _PREFIXES[Phase.RUNNING], behind(_WAITING))
"""The jobs that have not ended: those that run, and those that wait."""


async def add(
    transaction: Transaction, *, name: str, args: dict[str, Value], due: float, now: float, canceled: bool = False
) -> str:
    """Schedules a function; the id of its document. Times are in milliseconds since 1970.

    Args:
        name: module and function, `messages.js:send`.
        canceled: it is written down, but never going to run.
    """
    fields: dict[str, Value] = {"name": name, "args": [args], "scheduledTime": due}
    if canceled:
        fields["completedTime"] = now
    state: Value = {"kind": (State.CANCELED if canceled else State.PENDING).value}
    added = await transaction.insert(SCHEDULED_FUNCTIONS, {**fields, "state": state})
    phase, then = (Phase.DONE, now + KEPT_MS) if canceled else (Phase.WAITING, due)
    transaction.insert_twin(JOBS, decode_id(added), {"phase": phase.value, "due": then})
    return added


async def phase_of(transaction: Transaction, id: DocumentId) -> Phase | None:
    """How far the job is; None when it has been forgotten. The transaction depends on it."""
    row = await transaction.get(_row_id(id))
    return None if row is None else Phase(cast(str, row["phase"]))


async def cancel(transaction: Transaction, id: DocumentId, now: float) -> None:
    """Cancels the job, if it has not ended. An action that runs already goes on."""
    if await phase_of(transaction, id) in (Phase.WAITING, Phase.RUNNING):
        await _end(transaction, id, State.CANCELED, now)


async def take(transaction: Transaction, id: DocumentId, node: int | None = None) -> bool:
    """Begins the job, as an action of the process `node` when that is given.

    False when it does not wait any more: it was canceled, or somebody else has it.
    """
    with apart(transaction):
        if await phase_of(transaction, id) is not Phase.WAITING:
            return False
        if node is not None:
            await transaction.patch(_row_id(id), {"phase": Phase.RUNNING.value, "node": node})
        await transaction.patch(id, {"state": {"kind": State.IN_PROGRESS.value}})
        return True


async def look_up(transaction: Transaction, id: DocumentId) -> Job:
    """The job, in whatever phase it is."""
    with apart(transaction):
        document = await transaction.get(id)
    assert document is not None, "the two documents of a job come and go together"
    return Job(id, cast(str, document["name"]), document["args"])


async def end(transaction: Transaction, id: DocumentId, phase: Phase, error: str | None, now: float) -> bool:
    """Writes down how the job ended: well, or with `error`. False when it was not in `phase` any more."""
    with apart(transaction):
        if await phase_of(transaction, id) is not phase:
            return False
        await _end(transaction, id, State.SUCCESS if error is None else State.FAILED, now, error)
        return True


async def waiting(transaction: Transaction, limit: int) -> list[Waiting]:
    """The next jobs to be run, those due first at the head, whether or not their time has come."""
    with apart(transaction):
        rows = await transaction.take(_by_due(transaction), *_span(Phase.WAITING), limit=limit)
    return [Waiting(_job_id(row), cast(float, row["due"]), _JOBS.keys_of(row)[_BY_DUE]) for row in rows]


async def running(transaction: Transaction) -> list[tuple[DocumentId, int]]:
    """The actions that have begun and not ended, each with the process that runs it, or did when it was alive."""
    with apart(transaction):
        rows = await transaction.take(_by_due(transaction), *_span(Phase.RUNNING))
    return [(_job_id(row), cast(int, row["node"])) for row in rows]


async def forgettable(transaction: Transaction, now: float, limit: int) -> list[DocumentId]:
    """Jobs that ended so long ago that nobody is told of them any more."""
    start, _ = _span(Phase.DONE)
    with apart(transaction):
        rows = await transaction.take(_by_due(transaction), start, encode_key((Phase.DONE.value, now)), limit=limit)
    return [_job_id(row) for row in rows]


async def forget(transaction: Transaction, ids: list[DocumentId]) -> None:
    """Deletes jobs that have ended."""
    with apart(transaction):
        for each in ids:
            if await phase_of(transaction, each) is Phase.DONE:
                await transaction.delete(_row_id(each))
                await transaction.delete(each)


def adds_waiting(commit: Commit, known: Collection[bytes]) -> bool:
    """Whether there are jobs to be run after a commit that were not before; `known` are the keys of those that were.

    Other nodes tell which keys they wrote, and not whether they added or removed them.
    """
    if commit.documents:
        return any(
            change.indexes[0] == _JOBS.by_id.number and change.after and change.after[_BY_DUE].startswith(_WAITING)
            for change in commit.documents
        )
    return any(
        index == _JOBS.numbers[_BY_DUE] and key.startswith(_WAITING) and key not in known
        for index, key in commit.written
    )


def outstanding_change(commit: Commit) -> int:
    """How many more jobs have not ended after a commit than before it."""
    if commit.documents:
        return change_by(commit.documents)
    phases: dict[bytes, set[Phase]] = {}
    for index, key in commit.written if commit.touches(_JOBS.by_id.number) else ():
        for phase, prefix in _PREFIXES.items() if index == OUTSTANDING.index else ():
            if key.startswith(prefix):
                phases.setdefault(key[len(prefix) + _DUE_BYTES :], set()).add(phase)
    # Of another node's jobs we see the phases before and after: what waits was added, unless it goes on in another one.
    return sum((seen == {Phase.WAITING}) - (Phase.DONE in seen and len(seen) > 1) for seen in phases.values())


def change_by(documents: Iterable[DocumentChange]) -> int:
    """How many more jobs have not ended when these documents are changed."""
    changes = [each for each in documents if each.indexes[0] == _JOBS.by_id.number]
    return sum(_is_outstanding(each.after) - _is_outstanding(each.before) for each in changes)


def is_job_id(id: DocumentId) -> bool:
    return id.table == _SCHEDULED


@contextmanager
def apart(transaction: Transaction) -> Generator[None]:
    """What the body reads counts for no function; while none is running in the transaction."""
    usage, transaction.usage = transaction.usage, Usage(UNLIMITED)
    try:
        yield
    finally:
        transaction.usage = usage


async def _end(transaction: Transaction, id: DocumentId, state: State, now: float, error: str | None = None) -> None:
    kind: dict[str, Value] = {"kind": state.value}
    await transaction.patch(id, {"completedTime": now, "state": kind if error is None else {**kind, "error": error}})
    await transaction.patch(_row_id(id), {"phase": Phase.DONE.value, "due": now + KEPT_MS})


def _is_outstanding(keys: tuple[bytes, ...]) -> bool:
    return bool(keys) and OUTSTANDING.covers(OUTSTANDING.index, keys[_BY_DUE])


def _by_due(transaction: Transaction) -> Index:
    index = transaction.index(JOBS, BY_DUE)
    assert index is not None, "system tables are always there"
    return index


def _span(phase: Phase) -> tuple[bytes, bytes | None]:
    return _PREFIXES[phase], behind(_PREFIXES[phase])


def _row_id(id: DocumentId) -> DocumentId:
    return DocumentId(_JOBS.number, id.internal)


def _job_id(row: dict[str, Value]) -> DocumentId:
    return DocumentId(_SCHEDULED, decode_id(cast(str, row["_id"])).internal)
