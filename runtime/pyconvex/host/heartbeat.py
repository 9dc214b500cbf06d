"""Pings for all WebSockets of a server (RFC 6455, section 5.5.2), with one timer for all of them."""

import asyncio
from collections import OrderedDict
from typing import Protocol

PING_SECONDS = 10.0
"""The official Python client gives up on a connection on which nothing arrives for 30 seconds."""

SILENCE_SECONDS = 120.0
"""A client from which nothing comes for so long, not even an answer to a ping, is gone."""

PINGS_AT_ONCE = 100
"""Thousands may be due together, and requests must not wait for all of them."""


class Peer(Protocol):
    """A WebSocket as far as its heartbeat goes."""

    heard_at: float

    def ping(self) -> None: ...
    def drop(self) -> None: ...


class Heartbeat:
    """Pings each of its WebSockets every `PING_SECONDS`, and drops those of clients that are gone."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: OrderedDict[Peer, float] = OrderedDict()
        """When each is pinged next, the soonest first."""
        self._timer: asyncio.Handle | None = None

    def add(self, peer: Peer) -> None:
        self._due[peer] = self._loop.time() + PING_SECONDS
        if self._timer is None:
            self._timer = self._loop.call_later(PING_SECONDS, self._beat)

    def remove(self, peer: Peer) -> None:
        self._due.pop(peer, None)

    def close(self) -> None:
        """No more pings."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._timer = None
        now = self._loop.time()
        for _ in range(PINGS_AT_ONCE):
            if not self._due:
                return  # the next one that is added starts the timer again
            peer, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self._loop.call_at(due, self._beat)
                return
            self._ping(peer, now)
        self._timer = self._loop.call_soon(self._beat)

    def _ping(self, peer: Peer, now: float) -> None:
        if now - peer.heard_at > SILENCE_SECONDS:
            del self._due[peer]
            peer.drop()
        else:
            self._due[peer] = now + PING_SECONDS
            self._due.move_to_end(peer)
            peer.ping()
