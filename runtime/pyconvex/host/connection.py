"""One connection of Hypercorn's, with shortcuts that make a request cost a third less, and ends that come.

Hypercorn's classes do the work; what is here takes the short way where they take a long one: no task for each pause
between requests, one write for all that one turn of the event loop produced (the head and the body of a response, as
a rule). A client that takes in nothing of what it asked for is dropped; one that was refused has time to read why.

Imported only when something is served, as Hypercorn is.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any, cast

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol

from pyconvex.settings import Limits

from .heartbeat import Heartbeat
from .http11 import Http11
from .idle_timer import IdleTimer

WRITE_AHEAD_BYTES = 64 * 1024
"""How much of a response may wait for a slow reader before its producer has to wait too."""

READ_BYTES = 256 * 1024
"""How much is taken from the network at once: what a part of a body costs does not depend on its size."""

WAITING_MAX = 16
"""How many connections may wait for the end of a turn of the event loop."""

LINGER_SECONDS = 1.0
"""How long a client that was refused may take to read why; what it still sends is thrown away."""


class Connection(TCPServer):
    """Made and awaited by `_Worker.accept`."""

    def __init__(self, outbox: "Outbox", heartbeat: Heartbeat, limits: Limits, *parts: Any) -> None:
        super().__init__(*parts)
        self.heartbeat = heartbeat
        self.idle_timer = IdleTimer(self.loop, limits.keep_alive_seconds, self._initiate_server_close)
        self._limits = limits
        self.idle_task = cast("Any", self.idle_timer)  # Hypercorn names its own class there
        self._outbox = outbox
        self._transport = self.writer.transport
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._behind_bytes = 0
        self._is_deaf = False
        self._end: asyncio.TimerHandle | None = None

    async def _read_data(self) -> None:
        self._use_http11(self.protocol)
        handle, read = self.protocol.handle, self.reader.read
        while not self.reader.at_eof():
            try:
                data = await read(READ_BYTES)
            except OSError:
                break
            if not self._is_deaf:
                await handle(RawData(data))
        await handle(Closed())

    def _use_http11(self, wrapper: Any) -> None:
        """Put ours in the place of Hypercorn's, whose class the wrapper of a connection names itself."""
        if type(wrapper.protocol) is H11Protocol:
            wrapper.protocol = Http11(
                self,
                self._limits,
                wrapper.app,
                wrapper.config,
                wrapper.context,
                wrapper.task_group,
                wrapper.state,
                wrapper.ssl,
                wrapper.client,
                wrapper.server,
                wrapper.send,
            )

    async def protocol_send(self, event: Event) -> None:
        # The commonest first, and by identity: the events of Hypercorn are abstract classes, which are slow to ask.
        kind = type(event)
        if kind is RawData:
            await self.send(cast("RawData", event).data)
        elif kind is Updated:
            self.flush()
            self.idle_timer.set(idle=cast("Updated", event).idle)
        elif not self._is_deaf:  # else it has been told to end, and is lingering
            self.flush()
            await super().protocol_send(event)

    async def send(self, data: bytes) -> None:
        """Have `data` written, and wait while the reader is behind."""
        self.write(data)
        if self._unsent_bytes + self._behind_bytes > WRITE_AHEAD_BYTES:
            await self.drain()

    def write(self, data: bytes) -> None:
        """Have `data` written at the end of this turn of the event loop, or sooner."""
        if not data:
            return  # the end of a body of known length has no bytes of its own
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if len(self._unsent) == 1:
            self._outbox.add(self)

    def offer(self, data: bytes) -> bool:
        """As `write`, but only if not too much waits for the reader already; whether it was."""
        if self._unsent_bytes + self._behind_bytes > WRITE_AHEAD_BYTES and self.behind:
            return False
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if len(self._unsent) == 1:
            self._outbox.add(self)
        return True

    @property
    def behind(self) -> bool:
        """Whether more than `WRITE_AHEAD_BYTES` wait for the reader."""
        if self._unsent_bytes + self._behind_bytes <= WRITE_AHEAD_BYTES:
            return False
        self.flush()
        self._behind_bytes = self._transport.get_write_buffer_size()
        return self._behind_bytes > WRITE_AHEAD_BYTES

    async def drain(self) -> None:
        """Wait until the reader has caught up; one that takes in next to nothing for long is dropped."""
        self.flush()
        seconds = self._limits.response_idle_seconds
        left = self._left()
        while True:
            timeout = asyncio.timeout(seconds)
            try:
                async with timeout:
                    return await self.writer.drain()
            except (OSError, RuntimeError):  # a TimeoutError too: the network's own says that the connection is over
                if not timeout.expired():
                    return await self.protocol.handle(Closed())
            before, left = left, self._left()
            if before - left < self._limits.response_rate_bytes * seconds:
                self.abort()

    def _left(self) -> int:
        """How many bytes the reader has not taken in, as far as that is known."""
        return self._transport.get_write_buffer_size() + _unacknowledged(self.writer)

    def abort(self) -> None:
        """End it at once; what was not sent is lost."""
        self._transport.abort()

    def hang_up(self) -> None:
        """Say nothing more, and listen no more.

        What is on its way is still taken in: else the client's system might forget what it was told last.
        """
        self.flush()
        self._is_deaf = True
        with suppress(OSError, RuntimeError):
            self._transport.write_eof()
        self._end_in(LINGER_SECONDS)

    def _end_in(self, seconds: float) -> None:
        if self._end is None:
            self._end = self.loop.call_later(seconds, self._transport.abort)

    async def _initiate_server_close(self) -> None:
        self._end_in(self._limits.response_idle_seconds)  # a client that reads nothing would keep it open
        await super()._initiate_server_close()

    async def _close(self) -> None:
        self.flush()
        self._end_in(self._limits.response_idle_seconds)
        await super()._close()
        if self._end is not None:
            self._end.cancel()

    def flush(self) -> None:
        """Write what has gathered."""
        unsent = self._unsent
        if not unsent:
            return
        transport = self._transport
        parts = [b"".join(unsent)] if len(unsent) > 1 and self._unsent_bytes <= WRITE_AHEAD_BYTES else unsent
        self._unsent, self._unsent_bytes = [], 0
        try:
            for part in parts:  # one as a rule; what is large is not copied to be sent
                transport.write(part)
        except (ConnectionError, RuntimeError):
            return  # the peer is gone: the reading side hears of it too
        self._behind_bytes = transport.get_write_buffer_size()


class Outbox:
    """The connections that have something to write at the end of this turn of the event loop.

    When there are many, the first ones need not wait for the last: clients read while the rest is made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Connection] = []

    def add(self, connection: Connection) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._flush()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(connection)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.flush()


def _unacknowledged(writer: asyncio.StreamWriter) -> int:
    """Bytes that the system keeps until the peer has them; 0 where it does not say.

    It takes more from us only when it has got rid of a large part, so that a slow reader would seem to stand still.
    """
    try:
        from fcntl import ioctl
        from termios import TIOCOUTQ

        answer = ioctl(writer.get_extra_info("socket"), TIOCOUTQ, bytes(4))
    except (ImportError, OSError, ValueError):
        return 0
    return int.from_bytes(answer, sys.byteorder)
