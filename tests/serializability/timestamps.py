"""The store says in which order it has committed: whether everything that was read is what that order gives.

This is more than serializability, and easier to check: each read has one right answer.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Generator
from dataclasses import dataclass, field

from .checker import Anomaly
from .footprint import Footprint, footprint
from .history import NOTHING, History, Outcome, Seen, Transaction, Write, version_of, writes


@dataclass
class _Line:
    """The writes of one document by their timestamps."""

    table: str
    stamps: list[int] = field(default_factory=list[int])
    writes: list[Write] = field(default_factory=list[Write])

    def at(self, ts: int, *, included: bool) -> Write | None:
        place = (bisect_right if included else bisect_left)(self.stamps, ts)
        return self.writes[place - 1] if place else None


def check_timestamps(history: History) -> list[Anomaly]:
    """What does not fit the timestamps. All outcomes must be known."""
    committed = sorted(
        (each for each in history if each.outcome is Outcome.COMMITTED and any(kept for _, kept in writes(each))),
        key=lambda each: each.ts,
    )
    anomalies: list[Anomaly] = []
    lines: dict[str, _Line] = {}
    last = 0
    for transaction in committed:
        if transaction.ts <= last:
            anomalies.append(Anomaly("timestamp given twice", transaction.name))
        last = transaction.ts
        for write, kept in writes(transaction):
            if kept:
                line = lines.setdefault(write.document, _Line(write.table))
                line.stamps.append(transaction.ts)
                line.writes.append(write)
    wrote = {transaction.name for transaction in committed}
    # Those that have a place in the order: they wrote, or saw something of others.
    placed: list[Transaction] = []
    for transaction in history:
        found, did_write = footprint(transaction), transaction.name in wrote
        if did_write or found.reads or found.absent:
            placed.append(transaction)
        where = f"{transaction.name} at {transaction.ts}"
        stories = _misread(transaction, found, lines, wrote=did_write)
        anomalies += [Anomaly("timestamps", f"{where}: {story}") for story in stories]
    return [*anomalies, *_late(committed, placed)]


def _misread(transaction: Transaction, found: Footprint, lines: dict[str, _Line], *, wrote: bool) -> Generator[str]:
    def right(name: str) -> Write | None:
        line = lines.get(name)
        return None if line is None else line.at(transaction.ts, included=not wrote)

    for name, seen, _ in found.reads:
        write = right(name)
        expected = NOTHING if write is None or (write.group is None and seen == NOTHING) else write.version
        if version_of(seen) != expected:
            yield f"{name} was seen as {_short(seen)} and not as {expected}"
    for scan, known in found.absent:
        for name, line in lines.items():
            if line.table != scan.table or name in known:
                continue
            write = right(name)
            if write is not None and write.group is not None and scan.low <= write.group < scan.high:
                yield f"{name} with {write.version} was not found in {scan.table} [{scan.low}, {scan.high})"


def _late(committed: list[Transaction], placed: list[Transaction]) -> Generator[Anomaly]:
    """Whoever begins after an acknowledgement has a timestamp that is not before the acknowledged one."""
    by_end = sorted(committed, key=lambda each: each.ended)
    highest, place = 0, 0
    for transaction in sorted(placed, key=lambda each: each.begun):
        while place < len(by_end) and by_end[place].ended < transaction.begun:
            highest = max(highest, by_end[place].ts)
            place += 1
        if transaction.ts < highest:
            yield Anomaly("stale", f"{transaction.name} ran at {transaction.ts}, after {highest} was acknowledged")


def _short(seen: Seen) -> str:
    return f"…{seen[-3:]}" if isinstance(seen, tuple) and len(seen) > 3 else str(seen)
