"""The way of a client to a deployment: it can be cut, lose an answer, and lead to another deployment later."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from .relay import Ends, Line, Relay, listening


class Wire(Relay):
    """Leads to `port` of this machine, which may change. `url` is where clients find it."""

    def __init__(self, port: int) -> None:
        super().__init__(self._lead)
        self.port = port
        self.url = ""
        self.loses_next_answer = False
        """The next that the server says is not heard, and the connection breaks."""

    def line(self, client: Ends, server: Ends) -> Line:
        return _Line(self, client, server)

    async def _lead(self) -> Ends:
        return await asyncio.open_connection("127.0.0.1", self.port)


class _Line(Line):
    def __init__(self, wire: Wire, client: Ends, server: Ends) -> None:
        super().__init__(client, server)
        self._wire = wire

    def lets_answer(self, data: bytes) -> bool:
        if not self._wire.loses_next_answer:
            return True
        self._wire.loses_next_answer = False
        return False


@contextlib.asynccontextmanager
async def wire_to(port: int) -> AsyncGenerator[Wire]:
    wire = Wire(port)
    async with listening(wire) as own:
        wire.url = f"http://127.0.0.1:{own}"
        yield wire
