"""What a development session has to say, whoever listens: people (`text_screen.py`) or programs (`json_screen.py`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from pyconvex.errors import Problem

if TYPE_CHECKING:
    from pyconvex.engine.driver.watchdog import Blocked
    from pyconvex.engine.logs.logs import LogEntry
    from pyconvex.host import Reloaded


class Surroundings(Struct, frozen=True):
    """What does not change while `dev` runs. `urls` is None when nothing is served (`--once`)."""

    root: Path
    data: str
    """The folder that keeps the data; empty when memory does."""
    database: str
    """What keeps the documents instead; empty when nothing does."""
    storage: str
    """What keeps the stored files instead; empty when nothing does."""
    urls: tuple[str, str] | None
    interactive: bool


class Screen(Protocol):
    """The events of a development session."""

    def opened(self) -> None:
        """Addresses are known."""

    def ready(self, reloaded: "Reloaded", seconds: float) -> None:
        """The first version is served, `seconds` after the start of the command."""

    def reloaded(self, reloaded: "Reloaded", files: Sequence[str]) -> None:
        """A save is served."""

    def failed(self, problems: Sequence[Problem], files: Sequence[str], still: float | None) -> None:
        """A save is not served; the version of the moment `still` goes on, or none."""

    def logged(self, entry: "LogEntry") -> None:
        """A function has run, or said something. Called while a request is answered: must be quick."""

    def blocked(self, blocked: "Blocked") -> None:
        """A line of the user's blocks the event loop."""

    def output(self, command: str, line: str) -> None:
        """The command that runs beside the server has printed a line, which may hold anything."""

    def ended(self, command: str, code: int, hint: str | None) -> None:
        """That command has ended by itself."""

    def note(self, text: str) -> None:
        """Anything else worth a line."""

    def close(self) -> None:
        """The last call."""
