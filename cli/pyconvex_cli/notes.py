"""What the runtime warns about while `dev` runs, such as a database that went away, or came back."""

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

from pyconvex.engine.execution import current

_LOGGER = logging.getLogger("pyconvex")


class _Notes(logging.Handler):
    """Hands warnings to `note`, on the event loop. Those that come up inside of functions are in their logs."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._note = note
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        if current.get() is None:
            self._loop.call_soon_threadsafe(self._note, self.format(record))


@contextmanager
def runtime_warnings(note: Callable[[str], None]) -> Generator[None]:
    """Until the end of the block, `note` gets what the runtime warns about."""
    handler = _Notes(note)
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
