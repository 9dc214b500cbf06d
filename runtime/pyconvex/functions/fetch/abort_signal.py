"""`AbortSignal` (https://dom.spec.whatwg.org/#interface-AbortSignal), awaitable as Python has it."""

import asyncio
import logging
from collections.abc import Callable

from pyconvex.errors import DeveloperError

Listener = Callable[[], object]

_log = logging.getLogger("pyconvex.functions")


class AbortError(DeveloperError):
    """What `throw_if_aborted` raises: whoever wanted the result is gone."""

    def __init__(self, message: str = "This operation was aborted", *, code: str = "Aborted") -> None:
        super().__init__(code, message)


class AbortSignal:
    """Whether somebody still wants the result; of `request.signal`, whether the client is still there.

    `reason` is None until it is aborted, and then the exception that `throw_if_aborted` raises.
    """

    __slots__ = ("_aborted", "_listeners", "_reason")

    def __init__(self) -> None:
        self._aborted = False
        self._reason: Exception | None = None
        self._listeners: list[Listener] = []

    @property
    def aborted(self) -> bool:
        return self._aborted

    @property
    def reason(self) -> Exception | None:
        if self._reason is None and self.aborted:
            self._reason = AbortError()
        return self._reason

    def abort(self, reason: Exception | None = None) -> None:
        """Abort, and call the listeners in the order they came; the first time counts.

        A listener that raises is logged, and the next one is called (https://dom.spec.whatwg.org/#abortsignal-signal-abort).

        Args:
            reason: what `throw_if_aborted` raises; an `AbortError` by default.
        """
        if self._aborted:
            return
        self._aborted = True
        self._reason = reason or self._reason
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            try:
                listener()
            except Exception:
                _log.exception("A listener of an abort signal failed")

    def throw_if_aborted(self) -> None:
        """Raise the reason when it is aborted: for work in steps, between two of them.

        Raises:
            AbortError: it is, and no other reason was given.
        """
        reason = self.reason
        if reason is not None:
            raise reason

    def add_listener(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called, without arguments, when it is aborted; at once if it is already.

        Returns:
            What takes the listener off again.
        """
        if self.aborted:
            listener()
            return _nothing
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def wait(self) -> None:
        """Return once it is aborted: to be raced with work that nobody needs without a client."""
        done = asyncio.Event()
        remove = self.add_listener(done.set)
        try:
            await done.wait()
        finally:
            remove()


def _nothing() -> None:
    return None
