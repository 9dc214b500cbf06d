"""`request.signal` of a request that came over a connection (https://dom.spec.whatwg.org/#interface-AbortSignal)."""

from collections.abc import Callable

from pyconvex.functions.fetch.abort_signal import AbortSignal, Listener

from .asgi import Body, ClientGone


class LiveSignal(AbortSignal):
    """Aborted when the client leaves.

    Costs nothing until somebody asks: `aborted` looks at the connection, and only with a listener is it watched.
    """

    __slots__ = ("_body",)

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._body = body

    @property
    def aborted(self) -> bool:
        if not self._aborted and self._body.look():
            self._leave()
        return self._aborted

    def add_listener(self, listener: Listener) -> Callable[[], None]:
        if not self.aborted:
            self._body.watch(self._leave)
        return super().add_listener(listener)

    def _leave(self) -> None:
        self.abort(ClientGone())
