"""When a command that serves has to end, and with which exit code."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

DONE, INTERRUPTED = 0, 130


class Leaving:
    """The end of a session, whoever brings it about: a signal, a key, a command that ended. The first one counts.

    Args:
        at_once: called before the process ends on the spot, because it was asked to end for a second time.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()
        self.at_once = at_once
        self.reason = ""
        """The name of the signal that ends it, if one does."""

    def __call__(self, code: int) -> None:
        """Leave with this exit code."""
        if not self._code.done():
            self._code.set_result(code)

    @property
    def code(self) -> int | None:
        """The exit code, once it is known."""
        return self._code.result() if self._code.done() else None

    async def wait(self, *tasks: "asyncio.Future[Any]") -> None:
        """Until it is time to leave, or one of `tasks` has ended."""
        await asyncio.wait({self._code, *tasks}, return_when=asyncio.FIRST_COMPLETED)

    async def unless(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`; None when it is time to leave before that is there."""
        task = asyncio.ensure_future(work)
        await self.wait(task)
        if task.done():
            return task.result()
        task.cancel()
        return None

    @contextlib.contextmanager
    def on_signals(self) -> Generator[None, None, None]:
        """Ctrl-C and its relatives end the session; asked twice, it waits for nothing."""
        if sys.platform == "win32":
            yield  # Ctrl-C arrives as KeyboardInterrupt there
            return
        codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: DONE}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` leaves it
            codes[signal.SIGHUP] = DONE
        for number, code in codes.items():
            self._loop.add_signal_handler(number, self._signalled, number, code)
        try:
            yield
        finally:
            for number in codes:
                self._loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals, code: int) -> None:
        if not self._code.done():
            self.reason = number.name
            self(code)
        elif number in (signal.SIGINT, signal.SIGTERM):
            self.at_once()
            os._exit(128 + number)
