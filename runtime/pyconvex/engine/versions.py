"""Which version of the user's code serves: new calls take the current one, calls in flight keep theirs.

A version that was replaced is retired when its last call has ended, not before: its modules are still
imported from inside handlers until then.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from pyconvex.loading.registry import Registry


class _Version(AbstractContextManager[Registry]):
    """One registry and the number of calls that run on it. Entering it is taking a lease."""

    __slots__ = ("_calls", "_replaced", "_retire", "registry")

    def __init__(self, registry: Registry, retire: Callable[[], object]) -> None:
        self.registry = registry
        self._retire = retire
        self._calls = 0
        self._replaced = False

    def __enter__(self) -> Registry:
        self._calls += 1
        return self.registry

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls -= 1
        if self._replaced and not self._calls:
            self._retire()

    def replace(self) -> None:
        self._replaced = True
        if not self._calls:
            self._retire()


def _nothing() -> None:
    """How a registry that no loader made is retired."""


class Versions:
    """The versions that are alive; exactly one of them is current."""

    def __init__(self, registry: Registry, retire: Callable[[], object] = _nothing) -> None:
        self._version = _Version(registry, retire)

    @property
    def current(self) -> Registry:
        return self._version.registry

    def lease(self) -> AbstractContextManager[Registry]:
        """The current registry for the length of one call: `with versions.lease() as registry: …`."""
        return self._version

    def swap(self, registry: Registry, retire: Callable[[], object] = _nothing) -> None:
        """Serves new calls from `registry`; its own `retire` runs once it was replaced and its last call has ended."""
        replaced = self._version
        self._version = _Version(registry, retire)
        replaced.replace()
