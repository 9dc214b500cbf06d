"""The body of one request: read as it comes, within a size and a time, by one reader or several.

It is taken in before the response ends, because servers that queue what they receive would otherwise wait for a reader
for ever. A body is handed over as it was sent: one with a `Content-Encoding` is not decompressed, so none can grow.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from time import monotonic
from typing import Any, NamedTuple, cast

from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.abort_signal import AbortError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

EARLY_BYTES_MAX = 2**20
"""How much of a body is taken in before somebody reads it; the rest waits with the server and the client."""

WATCH_SECONDS = 0.1
"""How often a watcher looks whether somebody has read of a body of which much waits."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 64 * 2**20
"""How long and how much of an unread request body is taken in after its response was sent, so that a client that
is still sending reads the response instead of a reset connection."""


class ClientGone(AbortError):
    """The client closed its connection before the request was complete."""

    def __init__(self) -> None:
        super().__init__("Client disconnected", code="ClientDisconnected")


class BodyTooLarge(RequestRefused):
    """A request's body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, "RequestTooLarge", f"The request body is too large (limit: {limit} bytes)")


class BodyTooSlow(RequestRefused):
    """A request's body comes more slowly than the deployment waits for."""

    STATUS = 408

    def __init__(self, size: int, waited: float) -> None:
        text = f"The request body came too slowly: {size} bytes in {waited:.3g} s of waiting"
        super().__init__(self.STATUS, "RequestTimeout", text)


class Pace(NamedTuple):
    """How slowly a body may come, while somebody waits for it: the limits of these names."""

    idle_seconds: float = 30.0
    """The longest pause, and what a slow body has to spare in all."""
    rate_bytes: int = 240
    """Bytes a second on average beyond that, so that a byte now and then holds no place for long."""

    def left(self, size: int, waited: float) -> float:
        """Seconds to wait for the next part of a body of which `size` bytes came in `waited` seconds of waiting."""
        return min(self.idle_seconds, self.idle_seconds + size / self.rate_bytes - waited)


DEFAULT_PACE = Pace()


class Body:
    """The body of one request, as an async iterator of bytes.

    Raises (whoever reads it): `ClientGone` when the client leaves before the end, `BodyTooSlow`.
    """

    __slots__ = (
        "_early",
        "_early_bytes",
        "_ended",
        "_is_asking",
        "_others",
        "_pace",
        "_receive",
        "_waited",
        "_watcher",
        "asked",
        "complete",
        "disconnected",
        "size",
        "tap",
    )

    def __init__(self, receive: Receive, *, empty: bool = False, pace: Pace = DEFAULT_PACE) -> None:
        self._receive = receive
        self._pace = pace
        self._early: deque[bytes] = deque()
        self._early_bytes = 0
        self.size = 0
        """Bytes that have arrived."""
        self._waited = 0.0
        self._ended = False
        self._is_asking = False
        self._others: list[asyncio.Future[None]] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.asked = False
        """Somebody wanted it, so a client that waits for `100 Continue` was told to go on."""
        self.complete = empty
        """All of it has arrived (though some may not have been read yet)."""
        self.disconnected = False
        self.tap: Callable[[bytes], None] | None = None
        """Hears of every part that arrives."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._early:
            if self.complete:
                raise StopAsyncIteration
            if self.disconnected:
                raise ClientGone
            await self._advance_in_time()
        chunk = self._early.popleft()
        self._early_bytes -= len(chunk)
        return chunk

    async def read(self, limit: int) -> bytes:
        """All of it.

        Raises `BodyTooLarge` beyond `limit` bytes, `ClientGone` when the client leaves before the end.
        """
        read = bytearray()  # not a list, which thousands of small chunks would make large
        async for chunk in self:
            read += chunk
            if len(read) > limit:
                raise BodyTooLarge(limit)
        return bytes(read)

    async def gather(self) -> None:
        """Wait until all of it has arrived, or as much as is taken in before somebody reads it.

        Raises `ClientGone`, `BodyTooSlow`.
        """
        while not self.complete and self._early_bytes < EARLY_BYTES_MAX:
            if self.disconnected:
                raise ClientGone
            await self._advance_in_time()

    def arrived(self) -> bytes:
        """What has arrived and was not read yet."""
        arrived = b"".join(self._early)
        self._early.clear()
        self._early_bytes = 0
        return arrived

    async def receive(self) -> Message:
        """ASGI's `receive`, for an application that reads the body itself. Raises `BodyTooSlow`."""
        while not self.disconnected:
            if self._early or (self.complete and not self._ended):
                self._ended = self.complete
                return {"type": "http.request", "body": self.arrived(), "more_body": not self.complete}
            await (self._advance() if self.complete else self._advance_in_time())
        return {"type": "http.disconnect"}

    def watch(self, gone: Callable[[], object]) -> None:
        """Have `gone` called once when the client leaves; what it sends meanwhile is taken in, though not without
        bounds: a client is not seen leaving while much of its body waits to be read."""
        if self._watcher is None:
            self._watcher = asyncio.ensure_future(self._watch(gone))

    def poll(self) -> None:
        """Take in what has arrived of the body, without waiting for more; not without bounds, if nobody reads it."""
        while not (self.complete or self.disconnected or self._is_asking or self._early_bytes >= EARLY_BYTES_MAX):
            self.asked = True
            message = _at_once(self._receive)
            if message is None:
                return
            self._take(message)

    def look(self) -> bool:
        """Whether the client has left, as far as that is known without waiting."""
        self.poll()
        while self.complete and not (self.disconnected or self._is_asking):
            message = _at_once(self._receive)
            if message is None:
                break
            self._take(message)
        return self.disconnected

    async def discard(self) -> None:
        """Take in and forget the rest, within `LINGER_SECONDS` and `LINGER_BYTES`."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not (self.complete or self.disconnected):
                    left -= len(self.arrived())
                    if left <= 0:
                        return
                    await self._advance()
        except TimeoutError:
            return

    def abandon(self) -> None:
        """Let go of a client that sends on and on: what still comes is thrown away until the server hangs up.

        A server that queues what it receives cannot close a connection while nobody takes that in.
        """
        if self._watcher is not None:
            self._watcher.cancel()
        if not (self.complete or self.disconnected):
            task = asyncio.ensure_future(self._forget())
            _abandoned.add(task)
            task.add_done_callback(_abandoned.discard)

    async def _forget(self) -> None:
        while not (self.complete or self.disconnected):
            await self._advance()
            self.arrived()

    async def _watch(self, gone: Callable[[], object]) -> None:
        while not self.disconnected:
            if self._early_bytes < EARLY_BYTES_MAX:
                await self._advance()
            else:
                await asyncio.sleep(WATCH_SECONDS)
        gone()

    async def _advance_in_time(self) -> None:
        """Wait for the next message, as long as the pace allows."""
        if not self._is_asking:
            self.asked = True
            if (message := _at_once(self._receive)) is not None:
                self._take(message)
                return
        began = monotonic()
        try:
            async with asyncio.timeout(self._pace.left(self.size, self._waited)):
                await self._advance()
        except TimeoutError:
            raise BodyTooSlow(self.size, self._waited + monotonic() - began) from None
        finally:
            self._waited += monotonic() - began

    async def _advance(self) -> None:
        """Wait for the next message. Of those who do, one asks the server: its answers are for all."""
        if self._is_asking:
            turn = asyncio.get_running_loop().create_future()
            self._others = [*(self._others or ()), turn]
            await turn
            return
        self._is_asking = self.asked = True
        try:
            self._take(await self._receive())
        finally:
            self._is_asking = False
            others, self._others = self._others, None
            for turn in others or ():
                if not turn.done():
                    turn.set_result(None)

    def _take(self, message: Message) -> None:
        if message["type"] != "http.request":
            self.disconnected = True
            return
        if chunk := message.get("body"):
            self._early.append(chunk)
            self._early_bytes += len(chunk)
            self.size += len(chunk)
            if self.tap is not None:
                self.tap(chunk)
        if not message.get("more_body", False):
            self.complete = True


_abandoned: set[asyncio.Task[None]] = set()


def _at_once(receive: Receive) -> Message | None:
    """What `receive` answers without waiting, or None; the waiting it began is taken back."""
    waiting = cast("Coroutine[Any, Any, Message]", receive())
    try:
        waiting.send(None)
    except StopIteration as done:
        return done.value
    waiting.close()
    return None
