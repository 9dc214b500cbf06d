"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as they are sent."""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from datetime import timedelta
from typing import TypeAlias

from .json_text import json_text
from .tee import close
from .text import well_formed

Events: TypeAlias = AsyncIterable[object] | Iterable[object]

_LINE_END = re.compile(r"\r\n|\r|\n")
_PING = b":\n\n"


class ServerSentEvent:
    """One event of `Response.event_stream`.

    Args:
        data: what the page finds in `event.data`: a str as it is, anything else as JSON.
        event: what it listens for; `message` when left out.
        id: comes back as the header `last-event-id` when the browser connects again.
        retry: how long the browser waits before it does, in milliseconds or as a timedelta.

    Raises:
        ValueError: a line break in `event` or `id`, a NUL in `id`, or a negative `retry`.
        TypeError: data that has no JSON form, or an argument of another type.
    """

    __slots__ = ("data", "event", "id", "retry")

    def __init__(
        self, data: object, *, event: str | None = None, id: str | None = None, retry: int | timedelta | None = None
    ) -> None:
        self.data = data if isinstance(data, str) else json_text(data).decode()
        self.event = _checked("event", event, "\r\n")
        self.id = _checked("id", id, "\r\n\0")
        self.retry = _milliseconds(retry)

    def encoded(self) -> bytes:
        """The event as it is sent; data of several lines takes as many fields."""
        fields: list[tuple[str, str]] = []
        if self.event is not None:
            fields.append(("event", self.event))
        if self.id is not None:
            fields.append(("id", self.id))
        if self.retry is not None:
            fields.append(("retry", str(self.retry)))
        fields += [("data", line) for line in _LINE_END.split(self.data)]
        return well_formed("".join(f"{name}: {value}\n" for name, value in fields) + "\n").encode()

    def __repr__(self) -> str:
        return f"<ServerSentEvent {self.event or 'message'} {self.data!r:.60}>"


def event_chunks(events: Events, ping_seconds: float | None) -> AsyncIterator[bytes]:
    """The events as they are sent, with a comment whenever there was none for `ping_seconds`.

    Raises:
        TypeError: nothing to iterate over.
        ValueError: `ping_seconds` is not positive.
    """
    if ping_seconds is not None and ping_seconds <= 0:
        raise ValueError(f"ping_seconds is a positive number or None, not {ping_seconds!r}")
    if isinstance(events, AsyncIterable):
        return _encoded(events) if ping_seconds is None else _with_pings(events, ping_seconds)
    if not hasattr(events, "__iter__") or isinstance(events, str | bytes | dict):
        raise TypeError(f"Events come from an (async) iterator, not from {events!r:.60}")
    return _encoded(_awaitable(events))


def _event(event: object) -> bytes:
    return (event if isinstance(event, ServerSentEvent) else ServerSentEvent(event)).encoded()


async def _awaitable(events: Iterable[object]) -> AsyncIterator[object]:
    for event in events:
        yield event


async def _encoded(events: AsyncIterable[object]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield _event(event)
    finally:
        await close(events)


async def _with_pings(events: AsyncIterable[object], seconds: float) -> AsyncIterator[bytes]:
    """One task goes through all the events, one ahead of who reads: timeouts and task groups of theirs stay whole."""
    ready: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)
    task = asyncio.ensure_future(_produce(events, ready))
    task.add_done_callback(lambda _: ready.put_nowait(None) if ready.empty() else None)
    try:
        while not (task.done() and ready.empty()):
            try:
                async with asyncio.timeout(seconds):
                    chunk = await ready.get()
            except TimeoutError:
                chunk = _PING
            if chunk is not None:
                yield chunk
    finally:
        await _end(task)


async def _produce(events: AsyncIterable[object], ready: "asyncio.Queue[bytes | None]") -> None:
    try:
        async for event in events:
            await ready.put(_event(event))
    finally:
        await close(events)


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel what still runs, let it clean up, and raise what it failed with."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def _checked(field: str, text: str | None, forbidden: str) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise TypeError(f"The {field} of an event is a str, not {type(text).__name__}")
    found = next((character for character in text if character in forbidden), None)
    if found is not None:
        raise ValueError(f"The {field} of an event cannot hold {found!r}: it would end there")
    return text


def _milliseconds(retry: object) -> int | None:
    if retry is None:
        return None
    if isinstance(retry, timedelta):
        retry = int(retry.total_seconds() * 1000)
    if not isinstance(retry, int) or isinstance(retry, bool):
        raise TypeError(f"retry of an event is whole milliseconds or a timedelta, not {type(retry).__name__}")
    if retry < 0:
        raise ValueError(f"retry of an event is not negative, as {retry} is")
    return retry
