"""What concurrent clients did to a store and what they saw of it.

There are two kinds of documents. A *list* holds the numbers that were appended to it, so one read shows the order of
all writes before it. A *register* holds the one number that was written last, and each write says which it replaced.
Every number is written once in a history: seeing it means having seen that write.
"""

from collections.abc import Generator, Iterator
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

NOTHING: Final = 0
"""The version of a document that is not there."""

Seen: TypeAlias = int | tuple[int, ...]
"""What a read found: the number in a register, the numbers in a list."""


class Read(msgspec.Struct, frozen=True, array_like=True, tag="read"):
    """A document looked up by its id; `seen` is NOTHING or () when there is none."""

    document: str
    seen: Seen


class Scan(msgspec.Struct, frozen=True, array_like=True, tag="scan"):
    """All documents of a table whose group is in `low <= group < high`: the others were seen not to be there."""

    table: str
    low: int
    high: int
    found: dict[str, Seen]


class Write(msgspec.Struct, frozen=True, array_like=True, tag="write"):
    """A new version of a document, in `group`; None when the document is deleted.

    `after` is the version it replaces; None for an append, whose place the reads tell.
    """

    table: str
    document: str
    version: int
    group: int | None
    after: int | None = None


class Layer(msgspec.Struct, frozen=True, array_like=True, tag="layer"):
    """A sub-transaction; one that was not `kept` has failed."""

    operations: "list[Operation]"
    kept: bool


Operation: TypeAlias = Read | Scan | Write | Layer


class Outcome(StrEnum):
    COMMITTED = "committed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Nobody was told; it may have been committed or not."""


class Transaction(msgspec.Struct, frozen=True, array_like=True):
    """One query or mutation as its client saw it.

    `begun` and `ended` are ns on a clock that all clients share; an unknown outcome has no end. `ts` is what the store
    says of it: a mutation's commit, or the snapshot of what wrote nothing.
    """

    name: str
    operations: list[Operation]
    begun: int
    ended: int
    ts: int = 0
    outcome: Outcome = Outcome.COMMITTED


History: TypeAlias = list[Transaction]


def version_of(seen: Seen) -> int:
    """The write that was seen last."""
    if isinstance(seen, int):
        return seen
    return seen[-1] if seen else NOTHING


def flat(operations: list[Operation], *, kept: bool = True) -> Iterator[tuple[Read | Scan | Write, bool]]:
    """The operations of all layers, with whether their writes were kept."""
    for operation in operations:
        if isinstance(operation, Layer):
            yield from flat(operation.operations, kept=kept and operation.kept)
        else:
            yield operation, kept


def writes(transaction: Transaction) -> Generator[tuple[Write, bool]]:
    for operation, kept in flat(transaction.operations):
        if isinstance(operation, Write):
            yield operation, kept
