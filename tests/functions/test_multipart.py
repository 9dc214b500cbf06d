"""`multipart/form-data` as it arrives: in any pieces, of any size, and broken in any way."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.fetch.multipart import PART_HEADER_BYTES_MAX, PART_HEADERS_MAX, PARTS_MAX
from pyconvex.server import Blob, File, FormData, Headers, Request, Response, URLSearchParams

TYPE = "multipart/form-data; boundary=B"


async def pieces(data: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        yield data[at:cut]
        at = max(at, cut)


def arriving(source: AsyncIterator[bytes], content_type: str = TYPE) -> Request:
    headers = Headers({"content-type": content_type})
    return Request.incoming("http://h/", "POST", headers, source, 2**31)


async def fields(form: FormData) -> list[tuple[str, Any]]:
    return [
        (name, (value.name, value.type, await value.bytes()) if isinstance(value, File) else value)
        for name, value in form.items()
    ]


def part(headers: bytes, content: bytes) -> bytes:
    return b"--B\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


DISPOSITION = b'Content-Disposition: form-data; name="a"'
END = b"--B--\r\n"
OCTETS = "application/octet-stream"
TOLERATED: list[tuple[bytes, list[tuple[str, Any]]]] = [
    (b"preamble\r\nof lines --B\r\n" + part(DISPOSITION, b"1") + END + b"epilogue\r\n--B\r\n", [("a", "1")]),
    (b"\r\n\r\n" + part(DISPOSITION, b"1") + END, [("a", "1")]),
    (part(DISPOSITION, b"1").replace(b"--B", b"--B \t ") + END, [("a", "1")]),
    (part(DISPOSITION, b"1") + part(DISPOSITION, b"2").replace(b"--B", b"--B  ") + END, [("a", "1"), ("a", "2")]),
    (part(b"content-TYPE: a/b\r\n" + DISPOSITION + b"\r\nX-Y:", b"1") + END, [("a", "1")]),
    (part(b'Content-Disposition: FORM-DATA ;name=a; filename="f;g"', b"") + END, [("a", ("f;g", OCTETS, b""))]),
    (part(b'Content-Disposition: form-data; filename="\\"f\\""; name=a', b"") + END, [("a", ('"f"', OCTETS, b""))]),
    (part(DISPOSITION + b"; filename*=UTF-8''x; filename=f", b"1") + END, [("a", ("f", OCTETS, b"1"))]),
    (part(DISPOSITION + b'; filename="f"\r\nContent-Type: Image/PNG', b"1") + END, [("a", ("f", "image/png", b"1"))]),
    (part(DISPOSITION, b"\r\n--\r\n--B-\r\n--BB\r\n\r\n") + END, [("a", "\r\n--\r\n--B-\r\n--BB\r\n\r\n")]),
    (part(DISPOSITION, b"") + b"--B--", [("a", "")]),
]


@pytest.mark.parametrize(("body", "expected"), TOLERATED, ids=lambda case: repr(case)[:40])
def test_what_is_tolerated_in_any_pieces(body: bytes, expected: list[tuple[str, Any]]) -> None:
    async def scenario() -> None:
        for cut in range(len(body)):
            assert await fields(await arriving(pieces(body, [cut])).form_data()) == expected, cut
        one_by_one = pieces(body, list(range(len(body))))
        assert await fields(await arriving(one_by_one).form_data()) == expected

    asyncio.run(scenario())


MALFORMED: list[tuple[bytes, str]] = [
    (part(b"X: y\r\n" * PART_HEADERS_MAX + DISPOSITION, b"1") + END, "Maximum header count"),
    (part(b"X: " + b"y" * PART_HEADER_BYTES_MAX + b"\r\n" + DISPOSITION, b"1") + END, "Maximum header size"),
    (part(b"B\xe4d: y\r\n" + DISPOSITION, b"1") + END, "invalid character"),
    (part(b"no colon", b"1") + END, "invalid character"),
    (part(b"X: y", b"1") + END, "no content-disposition with a name"),
    (b"x" * 100_000, "the closing boundary is missing"),
    (b"x" * 100_000 + part(DISPOSITION, b"1") + END, "the closing boundary is missing"),
]


@pytest.mark.parametrize(("body", "message"), MALFORMED, ids=lambda case: repr(case)[:30])
def test_what_is_malformed(body: bytes, message: str) -> None:
    async def scenario() -> None:
        for source in (pieces(body, []), pieces(body, list(range(0, len(body), 999)))):
            with pytest.raises(TypeError, match="Malformed multipart form data: ") as caught:
                await arriving(source).form_data()
            assert message in str(caught.value)

    asyncio.run(scenario())


def test_a_boundary_that_is_too_long() -> None:
    with pytest.raises(TypeError, match="Malformed multipart form data: Boundary length"):
        asyncio.run(arriving(pieces(b"", []), f"multipart/form-data; boundary={'b' * 1000}").form_data())


def test_other_work_goes_on_meanwhile() -> None:
    """A form that is hard to read (here: full of what may become a boundary) does not hold up the event loop."""

    async def scenario() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        body = part(DISPOSITION, b"\r\n--BX" * 100_000) + END
        await Request("http://h/", method="POST", headers={"content-type": TYPE}, body=body).form_data()
        counting.cancel()
        return turns

    assert asyncio.run(scenario()) >= 9


def test_a_file_is_in_memory_once() -> None:
    size, chunk = 32 * 2**20, b"x" * 2**16

    async def body() -> AsyncIterator[bytes]:
        yield b"--B\r\n" + DISPOSITION + b'; filename="f"\r\n\r\n'
        for _ in range(size // len(chunk)):
            yield chunk
        yield b"\r\n" + END

    async def scenario() -> tuple[int, int]:
        tracemalloc.start()
        try:
            form = await arriving(body()).form_data()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        file = form["a"]
        assert isinstance(file, File)
        return file.size, peak

    read, peak = asyncio.run(scenario())
    assert read == size
    assert peak < 1.5 * size


PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff"), max_size=12)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n%"), max_size=12)
FILES = st.tuples(NAMES, st.sampled_from(["", "image/png", "text/plain;charset=utf-8"]), st.binary(max_size=60))
FIELDS = st.lists(st.tuples(NAMES, PLAIN | FILES), max_size=5)


@given(FIELDS, st.lists(st.integers(0, 600), max_size=5))
def test_any_form_comes_back_in_any_pieces(entries: list[tuple[str, Any]], cuts: list[int]) -> None:
    form = FormData()
    for name, value in entries:
        if isinstance(value, str):
            form.append(name, value)
        else:
            filename, media_type, content = value
            form.append(name, Blob([content], type=media_type), filename)

    async def scenario() -> None:
        response = Response(form)
        body = await response.clone().bytes()
        expected = await fields(await response.form_data())
        assert [name for name, _ in expected] == [name for name, _ in entries]
        for (_, sent), (_, got) in zip(entries, expected, strict=True):
            whole = sent if isinstance(sent, str) else (sent[0], sent[1] or "application/octet-stream", sent[2])
            assert got == whole
        arrived = arriving(pieces(body, [min(cut, len(body)) for cut in cuts]), response.headers["content-type"])
        assert await fields(await arrived.form_data()) == expected

    asyncio.run(scenario())


SCRAPS = st.sampled_from(
    [
        b"--B",
        b"--B--",
        b"\r\n",
        b"\r\n--B\r\n",
        b"\r",
        b"\n",
        b"-",
        b" ",
        DISPOSITION,
        b"; filename=x",
        b":",
        b"B",
        b"\xff",
    ]
)


@given(st.lists(SCRAPS | st.binary(max_size=4), max_size=12))
def test_anything_is_a_form_or_a_type_error(scraps: list[bytes]) -> None:
    body = b"".join(scraps)

    async def scenario() -> None:
        outcomes: list[Any] = []
        for cuts in ([], list(range(len(body)))):
            try:
                outcomes.append(await fields(await arriving(pieces(body, cuts)).form_data()))
            except TypeError:
                outcomes.append(TypeError)
        assert outcomes[0] == outcomes[1]

    asyncio.run(scenario())


@given(st.lists(st.tuples(PLAIN | NAMES, PLAIN | NAMES), max_size=6), st.lists(st.integers(0, 200), max_size=4))
def test_any_urlencoded_form_comes_back(entries: list[tuple[str, str]], cuts: list[int]) -> None:
    body = str(URLSearchParams(entries)).encode()
    kind = "application/x-www-form-urlencoded;charset=UTF-8"
    arrived = arriving(pieces(body, [min(cut, len(body)) for cut in cuts]), kind)
    assert asyncio.run(arrived.form_data()).items() == entries


@pytest.mark.parametrize("field", ["a", "a=1", ""])
def test_an_urlencoded_form_of_too_many_fields(field: str) -> None:
    """20 MiB of `a&a&a…` would take 1.5 GiB, and hold up everybody else for a quarter of a minute."""
    kind = "application/x-www-form-urlencoded"
    most = "&".join([field] * PARTS_MAX).encode()
    form = asyncio.run(arriving(pieces(most, []), kind).form_data())
    assert len(form) == (PARTS_MAX if field else 0)
    with pytest.raises(TypeError, match="more than 10000 fields"):
        asyncio.run(arriving(pieces(most + b"&", []), kind).form_data())
