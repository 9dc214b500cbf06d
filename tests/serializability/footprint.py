"""What one transaction looked like from outside: what it read of others, and the versions it left."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .history import Layer, Operation, Read, Scan, Seen, Transaction, Write, version_of


@dataclass
class Footprint:
    """`reads` are versions that others wrote, by operation; `broken` says where it contradicted its own writes."""

    reads: list[tuple[str, Seen, bool]] = field(default_factory=list[tuple[str, Seen, bool]])
    """Document, what was seen, and whether a scan saw it."""
    absent: list[tuple[Scan, frozenset[str]]] = field(default_factory=list[tuple[Scan, frozenset[str]]])
    """Scans, with the documents about which they say nothing: those found, and those that the transaction wrote."""
    broken: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class _Own:
    """What the transaction has done to one document so far."""

    table: str
    versions: tuple[int, ...]
    group: int | None
    is_list: bool

    def matches(self, seen: Seen) -> bool:
        if isinstance(seen, tuple):
            return seen[-len(self.versions) :] == self.versions
        return seen == self.versions[-1]


def footprint(transaction: Transaction) -> Footprint:
    found = Footprint()
    _walk(transaction.operations, {}, found)
    return found


def _walk(operations: list[Operation], own: dict[str, _Own], found: Footprint) -> None:
    for operation in operations:
        match operation:
            case Layer():
                inner = dict(own)
                _walk(operation.operations, inner, found)
                if operation.kept:
                    own.update(inner)
            case Read(document, seen):
                _see(document, seen, own, found, scanned=False)
            case Scan():
                for document, seen in operation.found.items():
                    _see(document, seen, own, found, scanned=True)
                _check_scan(operation, own, found)
                found.absent.append((operation, frozenset(operation.found) | own.keys()))
            case Write():
                before = own.get(operation.document)
                versions = (*(before.versions if before else ()), operation.version)
                own[operation.document] = _Own(operation.table, versions, operation.group, operation.after is None)


def _see(document: str, seen: Seen, own: Mapping[str, _Own], found: Footprint, *, scanned: bool) -> None:
    mine = own.get(document)
    if mine is None:
        found.reads.append((document, seen, scanned))
    elif mine.group is None:
        if version_of(seen):
            found.broken.append(f"{document} was seen as {seen} after the transaction itself had deleted it")
    elif not mine.matches(seen):
        found.broken.append(f"{document} was seen as {seen} after the transaction itself had written {mine.versions}")
    elif isinstance(seen, tuple) and len(seen) > len(mine.versions):
        found.reads.append((document, seen[: -len(mine.versions)], scanned))


def _check_scan(scan: Scan, own: Mapping[str, _Own], found: Footprint) -> None:
    for document, mine in own.items():
        within = mine.table == scan.table and mine.group is not None and scan.low <= mine.group < scan.high
        if within != (document in scan.found):
            how = "was not found" if within else "was found"
            found.broken.append(f"{document} {how} in [{scan.low}, {scan.high}) against the transaction's own write")
