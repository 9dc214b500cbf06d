"""Bodies that are streams: clones that read at their own pace, sources that fail, and sources that are left."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.body import BodyStream
from pyconvex.server import Headers, Request, Response


class Source:
    """Chunks that a test hands out, each when it wants."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = 0
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    def give(self, *chunks: bytes | None) -> None:
        for chunk in chunks:
            self._chunks.put_nowait(chunk)

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        chunk = await self._chunks.get()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self.closed += 1


def incoming(source: AsyncIterator[bytes], limit: int = 100) -> Request:
    return Request.incoming("http://h/", "POST", Headers(), source, limit)


def stream(body: Request | Response) -> BodyStream:
    assert body.body is not None
    return body.body


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_clones_are_read_at_their_own_pace() -> None:
    async def scenario() -> None:
        source = Source()
        source.give(b"a", b"b", b"c", None)
        request = incoming(source)
        first, second = stream(request.clone()), stream(request)
        assert source.asked == 0
        assert [await anext(first), await anext(first)] == [b"a", b"b"]
        assert source.asked == 2
        assert [chunk async for chunk in second] == [b"a", b"b", b"c"]
        assert [chunk async for chunk in first] == [b"c"]

    asyncio.run(scenario())


async def stream_text(body: Request | Response) -> str:
    return b"".join([chunk async for chunk in stream(body)]).decode()


@pytest.mark.parametrize("kind", ["request", "response"])
def test_three_readers_at_once(kind: str) -> None:
    async def scenario() -> None:
        source = Source()
        body: Any = incoming(source) if kind == "request" else Response(source)
        clones = [body.clone(), body.clone()]
        reading = asyncio.gather(body.text(), *(stream_text(clone) for clone in clones))
        for chunk in (b"a", b"b", b"c", None):
            await turns()
            source.give(chunk)
        assert await reading == ["abc"] * 3

    asyncio.run(scenario())


def test_a_reader_who_gives_up_takes_nothing_along() -> None:
    async def scenario() -> None:
        source = Source()
        request = incoming(source)
        hasty = request.clone()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await hasty.text()
        source.give(b"a", b"b", None)
        assert await request.text() == "ab"

    asyncio.run(scenario())


def test_a_failure_reaches_both_readers() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise LookupError("gone")

    def plain() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("gone")

    async def scenario() -> None:
        for source in (failing(), plain()):
            response = Response(source)
            clone = response.clone()
            for reader in (response, clone):
                with pytest.raises(LookupError, match="gone"):
                    await reader.text()

    asyncio.run(scenario())


def test_a_body_over_the_limit_fails_for_both_readers() -> None:
    async def scenario() -> None:
        source = Source()
        source.give(b"x" * 60, b"x" * 60, b"x", None)
        request = incoming(source)
        clone = request.clone()
        for reader in (request, clone):
            with pytest.raises(RequestRefused, match="larger than 100 bytes"):
                await reader.bytes()

    asyncio.run(scenario())


def test_a_generator_whose_reader_gave_up_is_not_taken_for_complete() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    async def scenario() -> None:
        response = Response(slow())
        clone = response.clone()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await clone.text()
        with pytest.raises(TypeError, match="ended early"):
            await response.text()

    asyncio.run(scenario())


def test_the_last_reader_who_leaves_closes_the_source() -> None:
    async def scenario() -> None:
        source = Source()
        source.give(b"a")
        request = incoming(source)
        first, second = stream(request.clone()), stream(request)
        assert await anext(first) == b"a"
        await first.aclose()
        assert source.closed == 0
        await second.aclose()
        assert source.closed == 1

    asyncio.run(scenario())


def test_a_clone_that_was_left_has_no_more_chunks() -> None:
    async def scenario() -> None:
        source = Source()
        source.give(b"a", b"b", None)
        request = incoming(source)
        left = stream(request.clone())
        await left.aclose()
        assert [chunk async for chunk in left] == []
        assert source.asked == 0, "what it does not get, the other one does"
        assert await request.text() == "ab"

    asyncio.run(scenario())


def test_generators_and_files_are_closed(tmp_path: Path) -> None:
    ended: list[str] = []

    async def asynchronous() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append("asynchronous")

    def plain() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append("plain")

    async def scenario() -> None:
        for source in (asynchronous(), plain()):
            body = stream(Response(source))
            assert await anext(body) == b"a"
            await body.aclose()
        (tmp_path / "lines").write_text("one\ntwo\n")
        with (tmp_path / "lines").open("rb") as file:
            body = stream(Response(file))
            assert await anext(body) == b"one\n"
            await body.aclose()
            assert file.closed

    asyncio.run(scenario())
    assert ended == ["asynchronous", "plain"]


def test_a_body_that_is_passed_on() -> None:
    async def scenario() -> None:
        source = Source()
        request = incoming(source)
        response = Response(request.body)
        assert source.asked == 0
        assert not request.body_used
        source.give(b"a", b"b", None)
        assert await response.text() == "ab"
        assert request.body_used
        for body in (request.body, response.body):
            with pytest.raises(TypeError, match="already read"):
                Response(body)
        await stream(Response(stream(Request("http://h/", method="POST", body="x")))).aclose()

    asyncio.run(scenario())


def test_leaving_a_body_uses_it() -> None:
    async def scenario() -> None:
        for request in (Request("http://h/", method="POST", body="x"), incoming(Source())):
            await stream(request).aclose()
            assert request.body_used
            with pytest.raises(TypeError, match="already read"):
                await request.text()

    asyncio.run(scenario())


@given(st.lists(st.binary(max_size=5), max_size=8), st.lists(st.integers(0, 2), max_size=30))
def test_clones_have_the_same_chunks_whoever_reads_first(chunks: list[bytes], order: list[int]) -> None:
    async def scenario() -> None:
        source = Source()
        source.give(*chunks, None)
        request = incoming(source)
        readers = [stream(body) for body in (request.clone(), request.clone(), request)]
        read: list[list[bytes]] = [[], [], []]
        for index in order:
            read[index] += [chunk async for chunk in one(readers[index])]
        for index, reader in enumerate(readers):
            read[index] += [chunk async for chunk in reader]
        assert read == [chunks] * 3

    asyncio.run(scenario())


async def one(reader: BodyStream) -> AsyncIterator[bytes]:
    async for chunk in reader:
        yield chunk
        return
