"""Server-sent events: their encoding, and what a stream of them does with time and with its source."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.server import Response, ServerSentEvent

ENCODED: list[tuple[Any, str]] = [
    ("text", "data: text\n\n"),
    ("", "data: \n\n"),
    ("two\nlines\r\nor\rfour\n", "data: two\ndata: lines\ndata: or\ndata: four\ndata: \n\n"),
    ({"a": [1, "é"]}, 'data: {"a":[1,"é"]}\n\n'),
    (None, "data: null\n\n"),
    (ServerSentEvent("x", event="tick", id="7", retry=500), "event: tick\nid: 7\nretry: 500\ndata: x\n\n"),
    (ServerSentEvent(1, id="", retry=timedelta(seconds=2)), "id: \nretry: 2000\ndata: 1\n\n"),
    (ServerSentEvent(" leading: é\ud800"), "data:  leading: é\ufffd\n\n"),
]


async def several(*events: Any) -> AsyncIterator[Any]:
    for event in events:
        yield event


async def body(response: Response) -> str:
    return await response.text()


@pytest.mark.parametrize(("event", "text"), ENCODED)
def test_events_as_they_are_sent(event: Any, text: str) -> None:
    for events in (several(event), [event], iter([event])):
        assert asyncio.run(body(Response.event_stream(events))) == text
    assert asyncio.run(body(Response.event_stream(several(event, event), ping_seconds=None))) == text * 2


REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("x", {"event": "a\nb"}, ValueError, "The event of an event cannot hold '\\n'"),
    ("x", {"event": "a\rdata: y"}, ValueError, "cannot hold '\\r'"),
    ("x", {"id": "a\0"}, ValueError, "The id of an event cannot hold '\\x00'"),
    ("x", {"id": 5}, TypeError, "The id of an event is a str, not int"),
    ("x", {"retry": -1}, ValueError, "not negative"),
    ("x", {"retry": 0.5}, TypeError, "whole milliseconds or a timedelta"),
    (b"x", {}, TypeError, "JSON has no bytes"),
    (float("nan"), {}, TypeError, "JSON has no nan"),
]


@pytest.mark.parametrize(("data", "options", "error", "message"), REFUSED)
def test_what_is_no_event(data: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        ServerSentEvent(data, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("events", ["text", b"x", {"a": 1}, 5, None])
def test_what_is_no_source_of_events(events: Any) -> None:
    with pytest.raises(TypeError, match="Events come from an"):
        Response.event_stream(events)
    with pytest.raises(ValueError, match="ping_seconds"):
        Response.event_stream(several(), ping_seconds=0)


def test_headers() -> None:
    assert Response.event_stream(several()).headers.items() == [
        ("cache-control", "no-store"),
        ("content-type", "text/event-stream"),
        ("x-accel-buffering", "no"),
    ]
    own = Response.event_stream(several(), headers={"Cache-Control": "no-cache", "X-Y": "z", "content-type": "a/b"})
    assert dict(own.headers.items())["cache-control"] == "no-cache"
    assert (own.headers["x-y"], own.headers["content-type"]) == ("z", "text/event-stream")


def test_comments_while_nothing_happens() -> None:
    async def scenario() -> None:
        wake = asyncio.Event()

        async def events() -> AsyncIterator[str]:
            yield "first"
            async with asyncio.timeout(60):  # stays in one task, whatever the pings do
                await wake.wait()
                yield "second"

        chunks = Response.event_stream(events(), ping_seconds=0.01).body
        assert chunks is not None
        assert [await anext(chunks) for _ in range(3)] == [b"data: first\n\n", b":\n\n", b":\n\n"]
        wake.set()
        rest = [chunk async for chunk in chunks]
        assert [chunk for chunk in rest if chunk != b":\n\n"] == [b"data: second\n\n"]

    asyncio.run(scenario())


@pytest.mark.parametrize("ping_seconds", [None, 5])
def test_a_source_that_fails(ping_seconds: float | None) -> None:
    async def scenario() -> None:
        async def events() -> AsyncIterator[str]:
            yield "first"
            raise LookupError("gone")

        chunks = Response.event_stream(events(), ping_seconds=ping_seconds).body
        assert chunks is not None
        assert await anext(chunks) == b"data: first\n\n"
        with pytest.raises(LookupError, match="gone"):
            await anext(chunks)

    asyncio.run(scenario())


@pytest.mark.parametrize("ping_seconds", [None, 5])
@pytest.mark.parametrize("taken", [1, 2])
def test_a_reader_who_leaves_ends_the_source(ping_seconds: float | None, taken: int) -> None:
    async def scenario() -> None:
        ended: list[str] = []

        async def events() -> AsyncIterator[str]:
            try:
                yield "first"
                yield "second"
                yield "third"
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.append("yes")

        payload = Response.event_stream(events(), ping_seconds=ping_seconds).payload()
        assert payload is not None
        assert not isinstance(payload, bytes)
        for _ in range(taken):
            await anext(payload)
        assert ended == []
        await payload.aclose()  # type: ignore[attr-defined]  # pyright: ignore - what sends a body does so
        assert ended == ["yes"]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("ping_seconds", [None, 5])
def test_a_source_that_fails_when_nobody_reads_on(ping_seconds: float | None) -> None:
    async def scenario() -> None:
        unheard: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))

        async def events() -> AsyncIterator[str]:
            try:
                yield "first"
            finally:
                raise LookupError("gone")

        chunks = Response.event_stream(events(), ping_seconds=ping_seconds).body
        assert chunks is not None
        await anext(chunks)
        for _ in range(3):
            await asyncio.sleep(0)
        with pytest.raises(LookupError, match="gone"):
            await chunks.aclose()
        del chunks
        gc.collect()
        assert unheard == []

    asyncio.run(scenario())


def test_the_source_is_at_most_two_events_ahead() -> None:
    async def scenario() -> None:
        made: list[int] = []

        async def events() -> AsyncIterator[int]:
            for number in range(100):
                made.append(number)
                yield number

        chunks = Response.event_stream(events()).body
        assert chunks is not None
        await anext(chunks)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(made) <= 3
        assert len([chunk async for chunk in chunks]) == 99

    asyncio.run(scenario())


def parsed(stream: str) -> Iterator[tuple[str, str, str]]:
    """Events, names and ids, as https://html.spec.whatwg.org/multipage/server-sent-events.html reads a stream."""
    event, last_id, data = "", "", ""
    for line in stream.split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                yield data.removesuffix("\n"), event or "message", last_id
            event, data = "", ""
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            event = value
        elif name == "id":
            last_id = value


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)
WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=8)


@given(st.lists(st.tuples(TEXT, WORD, WORD), max_size=5))
def test_a_browser_reads_what_was_sent(events: list[tuple[str, str, str]]) -> None:
    made = [ServerSentEvent(data, event=event, id=number) for data, event, number in events]
    stream = asyncio.run(body(Response.event_stream(several(*made))))
    assert list(parsed(stream)) == events
