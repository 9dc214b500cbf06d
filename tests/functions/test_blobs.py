"""`Blob` and `File`, in memory and stored elsewhere."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.fetch.blob import Blob
from pyconvex.server import File

DATA = bytes(range(20))


def stored(data: bytes, *, type: str = "") -> Blob:
    """A blob whose bytes come from a reader, three at a time."""

    async def read(start: int, stop: int) -> AsyncIterator[bytes]:
        for at in range(start, stop, 3):
            yield data[at : min(at + 3, stop)]

    return Blob.stored(len(data), read, type=type)


def content(blob: Blob) -> bytes:
    return asyncio.run(blob.bytes())


MADE: list[tuple[list[Any], bytes]] = [
    ([], b""),
    (["é", b"\xff", bytearray(b"a"), memoryview(b"b"), Blob(["c"])], b"\xc3\xa9\xffabc"),
    (["\ud800", array("B", [1, 2])], b"\xef\xbf\xbd\x01\x02"),
    ([stored(DATA), "!"], DATA + b"!"),
    ([stored(DATA), stored(b"xyz")], DATA + b"xyz"),
]


@pytest.mark.parametrize(("parts", "data"), MADE)
def test_parts_are_joined(parts: list[Any], data: bytes) -> None:
    blob = Blob(parts)
    assert (blob.size, content(blob)) == (len(data), data)
    assert asyncio.run(blob.array_buffer()) == data


def test_text_is_utf_8() -> None:
    assert asyncio.run(Blob([b"\xef\xbb\xbfA\xff"]).text()) == "A\ufffd"


@pytest.mark.parametrize(("given", "kept"), [("Text/Plain", "text/plain"), ("", ""), ("a\nb", ""), ("é", "")])
def test_the_type(given: str, kept: str) -> None:
    assert Blob(["x"], type=given).type == kept
    assert stored(b"x", type=given).type == kept


SLICES: list[tuple[tuple[Any, ...], bytes]] = [
    ((), DATA),
    ((5,), DATA[5:]),
    ((5, 8), DATA[5:8]),
    ((-4,), DATA[-4:]),
    ((-4, -2), DATA[-4:-2]),
    ((8, 5), b""),
    ((0, 99), DATA),
    ((99,), b""),
]


@pytest.mark.parametrize(("bounds", "expected"), SLICES)
def test_slices(bounds: tuple[Any, ...], expected: bytes) -> None:
    for blob in (Blob([DATA]), stored(DATA), Blob([stored(DATA[:7]), stored(DATA[7:])])):
        assert content(blob.slice(*bounds)) == expected
        assert blob.slice(*bounds).size == len(expected)
    assert stored(DATA).slice(0, 5, "text/plain").type == "text/plain"


@given(st.binary(max_size=12), st.tuples(*[st.integers(-14, 14)] * 4))
def test_a_slice_of_a_slice(data: bytes, bounds: tuple[int, ...]) -> None:
    a, b, c, d = bounds
    for blob in (Blob([data]), stored(data)):
        assert content(blob.slice(a, b).slice(c, d)) == data[a:b][c:d]


def test_streams_can_be_read_again() -> None:
    async def read(blob: Blob) -> list[bytes]:
        return [chunk async for chunk in blob.stream()]

    blob = stored(b"abcdefg")
    assert asyncio.run(read(blob)) == asyncio.run(read(blob)) == [b"abc", b"def", b"g"]
    assert asyncio.run(read(Blob([]))) == []


@pytest.mark.parametrize("parts", ["text", b"bytes", Blob()])
def test_parts_are_a_sequence(parts: Any) -> None:
    with pytest.raises(TypeError, match=r"write `Blob\(\["):
        Blob(parts)


def test_parts_of_other_types() -> None:
    with pytest.raises(TypeError, match="not int"):
        Blob([5])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType] - the mistake


def test_files_have_names() -> None:
    file = File(["x"], "a.txt", type="text/plain", last_modified=5)
    assert (file.name, file.type, file.last_modified, content(file)) == ("a.txt", "text/plain", 5, b"x")
    assert File([], "now").last_modified > 1_700_000_000_000
    assert repr(file) == "<File 1 bytes text/plain>"
    assert File([], "a\ud800").name == "a\ufffd"
    with pytest.raises(TypeError, match="name of a File is a str, not bytes"):
        File([], b"name")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - the mistake
