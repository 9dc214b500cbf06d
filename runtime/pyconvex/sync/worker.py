"""One client of the sync protocol: does what its session wants done, on its WebSocket and with the engine."""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from typing import TYPE_CHECKING, Final

from pyconvex.engine.outages import system_error
from pyconvex.errors import PyconvexError, RequestRefused

from .calls import Calls
from .effects import (
    Close,
    Effect,
    Identify,
    Refresh,
    Request,
    RunAction,
    RunMutation,
    Send,
    Subscribe,
    Unsubscribe,
    Verify,
)
from .messages import CHUNK_BYTES_MAX, PING, Authenticate, Connect, Malformed, chunks, parse
from .outbox import Outbox, Socket
from .session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeVarTuple, Unpack

    from pyconvex.clock import Alarm
    from pyconvex.engine.client_version import ClientVersion
    from pyconvex.engine.live.results import View

    from .services import Services

    Told = TypeVarTuple("Told")

PING_MS: Final = 15_000.0
"""After so much silence the client is told that the server is there: JavaScript's gives up after 60 seconds."""

_log = logging.getLogger("pyconvex.sync")


class Worker:
    """One WebSocket from its first message to its last."""

    def __init__(self, services: Services, socket: Socket, client: ClientVersion) -> None:
        self._services = services
        self._socket = socket
        self._client = client
        self._session = Session(services.clock, redacted=services.redact)
        self._calls = Calls(services, socket)
        self._outbox = Outbox(socket)
        self._subscriptions = services.live.subscriptions(self._on_stale, self._on_view)
        self._unverified: Authenticate | None = None
        self._ended: asyncio.Future[None] | None = None  # some request, while that is waited for
        self._transitions_cut = 0
        self._spoke_at = services.clock.now_ms()
        self._alarm: Alarm | None = None

    async def run(self) -> None:
        """Serve the client until it is gone, or was told to go."""
        self._break_silence()
        try:
            while (text := await self._next()) is not None:
                await self._room()
                await self._hear(text)
        finally:
            self._end()

    def stop(self) -> None:
        """End what runs, begin nothing more, and close then."""
        self._tell(self._session.stop)
        self._relieve()

    def close(self) -> None:
        """Close now."""
        self._tell(self._session.end)

    async def _next(self) -> str | None:
        while True:
            try:
                return await self._socket.receive()
            except PyconvexError as error:  # a binary message
                self._tell(self._session.crash, error.message)

    async def _hear(self, text: str) -> None:
        try:
            message = parse(text)
        except Malformed as error:
            self._tell(self._session.malformed, error)
        else:
            self._tell(self._session.receive, message)
        if self._unverified is not None:
            await self._verify(self._unverified)

    async def _room(self) -> None:
        """Wait while the client has much to read, or while much that it asked for has not ended."""
        await self._outbox.room()
        while self._session.crowded:
            self._ended = asyncio.get_running_loop().create_future()
            await self._ended

    async def _verify(self, message: Authenticate) -> None:
        """Find out who the client is; what it says meanwhile waits."""
        self._unverified = None
        verify = self._services.authentication.authenticate
        try:
            identity = await verify(message.token_type, message.value, message.user)
        except RequestRefused as error:
            self._tell(self._session.refused, error)
        except Exception:
            self._break()
        else:
            self._tell(self._session.verified, identity)

    def _tell(self, hear: Callable[[Unpack[Told]], list[Effect]], *told: *Told) -> None:
        """Tell the session something, and do what it wants done then."""
        try:
            for effect in hear(*told):
                self._do(effect)
        except Exception:
            self._break()  # nobody else is to suffer: neither other sessions of a round, nor a mutation

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(effect)
            case Refresh(at_least):
                self._subscriptions.refresh(at_least)
            case RunMutation(request):
                self._spawn(self._mutate(request))
            case RunAction(request):
                self._spawn(self._act(request))
            case Subscribe(query_id, path, args, journal):
                self._subscriptions.add(query_id, path, args, journal)
            case Unsubscribe(query_id):
                self._subscriptions.remove(query_id)
            case Identify(identity):
                self._subscriptions.identify(identity)
            case Verify(message):
                self._unverified = message
            case Close(code, reason):
                self._subscriptions.close()
                self._outbox.close(code, reason)
                self._relieve()

    def _send(self, effect: Send) -> None:
        self._spoke_at = self._services.clock.now_ms()
        text = effect.text
        if not effect.transition:
            self._outbox.put(text)
            return
        if len(text) > CHUNK_BYTES_MAX and self._client.joins_chunks:
            self._transitions_cut += 1
            *pieces, text = chunks(text, str(self._transitions_cut))
            for piece in pieces:
                self._outbox.put(piece)
        keeps_up = self._outbox.put(text, self._on_delivered)
        self._subscriptions.follows = keeps_up
        if keeps_up:
            self._on_delivered()

    def _on_stale(self) -> None:
        self._tell(self._session.stale)

    def _on_view(self, view: View) -> None:
        self._tell(self._session.viewed, view)

    def _on_delivered(self) -> None:
        self._tell(self._session.delivered)

    def _on_committing(self, committing: bool) -> None:
        self._tell(self._session.committing, committing)

    def _break(self) -> None:
        _log.exception("a session failed inside pyconvex")
        for effect in self._session.failed(system_error()):
            self._do(effect)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        # An empty context: what a client asks for is no part of whatever set it off.
        task = asyncio.create_task(work, context=Context())
        self._services.running.add(task)
        task.add_done_callback(self._services.running.discard)

    async def _mutate(self, request: Request) -> None:
        await self._outbox.room()
        if self._session.closed:
            return  # the client will ask again
        try:
            done = await self._calls.mutate(self._connected, request, self._on_committing)
        except RequestRefused as error:
            self._tell(self._session.failed, error)
        except Exception:
            self._break()
        else:
            self._tell(self._session.mutated, request, done.response, done.ts)
        self._relieve()

    async def _act(self, request: Request) -> None:
        try:
            response = await self._calls.act(self._connected, request)
        except RequestRefused as error:
            self._tell(self._session.failed, error)
        except Exception:
            self._break()
        else:
            self._tell(self._session.acted, request, response)
        self._relieve()

    @property
    def _connected(self) -> Connect:
        connected = self._session.connected
        assert connected is not None, "nothing runs before Connect"
        return connected

    def _relieve(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _break_silence(self) -> None:
        """A Ping, if nothing was sent for a while; and again later."""
        now = self._services.clock.now_ms()
        if self._spoke_at + PING_MS <= now:
            self._spoke_at = now
            self._outbox.offer(PING)
        self._alarm = self._services.clock.alarm(self._spoke_at + PING_MS, self._break_silence)

    def _end(self) -> None:
        """The client is gone. What runs for it ends by itself, and nobody hears of it."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._session.end()
        self._subscriptions.close()
        self._outbox.drop()
