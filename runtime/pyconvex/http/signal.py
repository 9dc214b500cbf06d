"""`request.signal`: whether the client is still there, found out when somebody asks."""

from pyconvex.functions.fetch.request import AbortSignal

from .asgi import Body


class LiveSignal(AbortSignal):
    """Costs nothing until `aborted` is read: then the connection is looked at."""

    __slots__ = ("_body", "_is_aborted")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._is_aborted = False

    @property
    def aborted(self) -> bool:
        return self._is_aborted or self._body.look()

    @aborted.setter
    def aborted(self, value: bool) -> None:
        self._is_aborted = value
