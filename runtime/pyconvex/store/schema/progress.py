"""How far the work on stored documents has come, for those who wait for it."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Final, NamedTuple, TypeAlias

from pyconvex.clock import Clock
from pyconvex.store.keys import KeyRange
from pyconvex.store.persistence import Reader

QUIET_SECONDS: Final = 0.5
"""Work that takes no longer is not reported."""
_REPORT_SECONDS: Final = 0.1


class Step(StrEnum):
    CHECK = "check"
    """Documents are held against a schema."""
    BUILD = "build"
    """Documents are added to an index."""


class Progress(NamedTuple):
    """`done` of `total` documents.

    `names` are tables for `CHECK` and indexes, as `table.index`, for `BUILD`: those of one table are filled together.
    With `background` nobody waits for it: the indexes are staged. The last report says `ended`; without all documents
    done the work was given up.
    """

    step: Step
    names: tuple[str, ...]
    done: int
    total: int
    background: bool = False
    ended: bool = False


Report: TypeAlias = Callable[[Progress], None]


class Reporter:
    """Reports one piece of work, unless it is quick: `with reporter: …`.

    Args:
        report: told every now and then, and at the end.
    """

    def __init__(
        self, report: Report, clock: Clock, step: Step, names: tuple[str, ...], *, background: bool = False
    ) -> None:
        self._report = report
        self._clock = clock
        self._latest = Progress(step, names, 0, 0, background)
        self._done = 0
        self._due = clock.monotonic() + QUIET_SECONDS

    def __enter__(self) -> None:
        """The work begins."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._latest.total:
            total = self._done if error is None else self._latest.total
            self._report(self._latest._replace(done=self._done, total=total, ended=True))

    @property
    def is_due(self) -> bool:
        return self._clock.monotonic() >= self._due

    def more(self, documents: int) -> None:
        self._done += documents

    async def tell(self, reader: Reader, index: int) -> None:
        """Report how many of the keys of `index` are done; they are counted the first time."""
        total = self._latest.total or await _count(reader, index)
        # Documents that came meanwhile were not counted.
        self._latest = self._latest._replace(done=self._done, total=max(total, self._done))
        self._report(self._latest)
        self._due = self._clock.monotonic() + _REPORT_SECONDS


async def _count(reader: Reader, index: int) -> int:
    counted = 0
    start: bytes | None = b""
    while start is not None:
        count, start = await reader.count(KeyRange(index, start, None))
        counted += count
        await asyncio.sleep(0)
    return counted
