"""The versions of each document in their order, as far as the history tells it."""

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property

from .history import NOTHING, History, Outcome, Read, Scan, Seen, Write, flat, writes


@dataclass
class Document:
    """`after` maps a version to those that replaced it: more than one where writes were lost, or never seen."""

    name: str
    table: str
    writes: dict[int, Write] = field(default_factory=dict[int, Write])
    after: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    longest: tuple[int, ...] = ()

    @cached_property
    def path(self) -> list[int]:
        """All versions in their order, beginning with NOTHING; empty when there is no one order.

        To be asked for when all writes are known.
        """
        path = [NOTHING]
        while following := self.after.get(path[-1]):
            if len(following) > 1 or len(path) > len(self.writes):
                return []
            path += following
        return path

    def within(self, version: int, scan: Scan) -> bool:
        """Whether the scan would have found this version."""
        group = None if version == NOTHING else self.writes[version].group
        return group is not None and scan.low <= group < scan.high

    def first_missed(self, scan: Scan) -> int | None:
        """The version before which a scan ran that has not found the document.

        None when the scan may as well have run after all those that it would have found.
        """
        path = self.path
        inside = [position for position, version in enumerate(path) if self.within(version, scan)]
        if inside and inside == list(range(inside[0], len(path))):
            return path[inside[0]]
        return None


@dataclass
class Versions:
    """`writer` gives the transaction of each version, by its place in the history."""

    documents: dict[str, Document] = field(default_factory=dict[str, Document])
    writer: dict[int, int] = field(default_factory=dict[int, int])
    undone: dict[int, int] = field(default_factory=dict[int, int])
    """Versions of transactions and sub-transactions that failed."""
    intermediate: dict[int, int] = field(default_factory=dict[int, int])
    """Versions that their own transaction replaced."""
    conflicting: list[tuple[str, Seen, Seen]] = field(default_factory=list[tuple[str, Seen, Seen]])
    """Two reads of one list that cannot both be true."""


def versions_of(history: History) -> Versions:
    found = Versions()
    seen = {version for _, _, read in _reads(history) for version in (read if isinstance(read, tuple) else (read,))}
    for place, transaction in enumerate(history):
        written = [write for write, _ in writes(transaction)]
        happened = transaction.outcome is Outcome.COMMITTED or (
            transaction.outcome is Outcome.UNKNOWN and any(write.version in seen for write in written)
        )
        _add_writes(found, place, [(write, happened and kept) for write, kept in writes(transaction)])
    _order_lists(found, history)
    return found


def _add_writes(found: Versions, place: int, written: list[tuple[Write, bool]]) -> None:
    last: dict[str, int] = {}
    for write, kept in written:
        if not kept:
            found.undone[write.version] = place
            continue
        if write.document in last:
            found.intermediate[last[write.document]] = place
        last[write.document] = write.version
        found.writer[write.version] = place
        document = found.documents.setdefault(write.document, Document(write.document, write.table))
        document.writes[write.version] = write
        if write.after is not None:
            document.after.setdefault(write.after, []).append(write.version)


def _order_lists(found: Versions, history: History) -> None:
    for place, name, seen in _reads(history):
        document = found.documents.get(name)
        if document is None or not isinstance(seen, tuple):
            continue
        # What a transaction saw of its own writes that were undone afterwards says nothing of the order.
        seen = tuple(version for version in seen if found.undone.get(version) != place)
        shorter, longer = sorted((seen, document.longest), key=len)
        if longer[: len(shorter)] != shorter:
            found.conflicting.append((name, document.longest, seen))
        document.longest = longer
    for document in found.documents.values():
        order = [version for version in document.longest if version in document.writes]
        for before, version in zip([NOTHING, *order], order, strict=False):
            document.after.setdefault(before, []).append(version)
        newest = order[-1] if order else NOTHING
        for version, write in document.writes.items():
            if write.after is None and version not in document.longest:
                document.after.setdefault(newest, []).append(version)


def _reads(history: History) -> Generator[tuple[int, str, Seen]]:
    for place, transaction in enumerate(history):
        for operation, _ in flat(transaction.operations):
            if isinstance(operation, Read):
                yield place, operation.document, operation.seen
            elif isinstance(operation, Scan):
                for document, seen in operation.found.items():
                    yield place, document, seen
