"""Notices a blocked event loop and names the user's line that blocks it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyconvex.errors import Place


@dataclass(frozen=True, slots=True)
class Blocked:
    place: Place
    """Relative to the project."""
    seconds: float
    function: str | None
    """What the line is calling, `time.sleep`; None when it computes itself."""


class Watchdog:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, report: Callable[[Blocked], None], project_root: Path
    ) -> None: ...

    def start(self) -> None:
        """Call on the loop's thread. `report` is called on the watchdog's own thread."""

    def stop(self) -> None: ...
