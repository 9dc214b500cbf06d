"""`request.signal`: whether the client is still there, found out when somebody asks."""

from ..functions.fetch.request import AbortSignal
from .asgi import Body


class LiveSignal(AbortSignal):
    """Costs nothing until `aborted` is read: then the connection is looked at."""

    __slots__ = ("_body",)

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._body = body

    @property
    def aborted(self) -> bool:
        self._body.poll()
        return self._body.disconnected
