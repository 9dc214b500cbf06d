"""What every storage of files does alike: whole files or nothing, under keys that lead nowhere else."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from pyconvex.clock import SystemClock
from pyconvex.files.storage import FileMissing, FileStorage, FileStorageFailed, Sha256Mismatch, new_key

from .conftest import Kept

MIB = 2**20
CLOCK = SystemClock()


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 30))


def some_bytes(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def stream(content: bytes, chunk: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), chunk):
        yield content[start : start + chunk]


async def content_of(files: FileStorage, key: str, *, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in await files.open(key, start=start, stop=stop)])


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, 8 * MIB, 8 * MIB + 1, 20 * MIB])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_file_comes_back(kept: Kept, size: int, streamed: bool) -> None:
    content = some_bytes(size)

    async def story() -> None:
        key = new_key(CLOCK)
        stored = await kept.files().put(key, stream(content) if streamed else content)
        assert (stored.key, stored.size, stored.sha256) == (key, size, hashlib.sha256(content).digest())
        assert await content_of(kept.files(), key) == content

    run(story)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(0, 3, b"abc"), (4, None, b"efgh"), (2, 2, b""), (6, 99, b"gh"), (0, None, b"abcdefgh"), (7, 8, b"h")],
)
def test_a_part_of_a_file(kept: Kept, start: int, stop: int | None, expected: bytes) -> None:
    async def story() -> None:
        files, key = kept.files(), new_key(CLOCK)
        await files.put(key, b"abcdefgh")
        assert await content_of(files, key, start=start, stop=stop) == expected

    run(story)


def test_what_is_deleted_is_missing(kept: Kept) -> None:
    async def story() -> None:
        files, key = kept.files(), new_key(CLOCK)
        await files.put(key, b"x")
        await files.delete(key)
        with pytest.raises(FileMissing):
            await files.open(key)
        await files.delete(key)
        assert kept.left() == []

    run(story)


NO_KEYS = {
    "nothing": "",
    "itself": ".",
    "above": "..",
    "a secret beside": "../secret",
    "absolute": "/etc/hostname",
    "what arrives": "incoming",
    "below": "se/secret",
    "the other slash": "..\\secret",
    "nobody's": "00000000-0000-4000-8000-000000000000",
    "a line end": "00000000-0000-4000-8000-000000000000\n",
    "a slash at the end": "00000000-0000-4000-8000-00000000000/",
    "upper case": "ABCDEF00-0000-4000-8000-000000000000",
    "NUL": "\0",
    "long": "A" * 5000,
}


@pytest.mark.parametrize("case", NO_KEYS)
def test_no_key_leads_anywhere_else(kept: Kept, case: str) -> None:
    key = NO_KEYS[case]
    for secret in (kept.folder.parent / "secret", kept.folder / "se" / "secret"):
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text("secret")

    async def story() -> None:
        files = kept.files()
        with pytest.raises(FileMissing):
            await files.open(key)
        await files.delete(key)
        if case != "nobody's":
            with pytest.raises(FileMissing):
                await files.put(key, b"overwritten")

    run(story)
    assert (kept.folder.parent / "secret").read_text() == "secret"
    assert (kept.folder / "se" / "secret").read_text() == "secret"


@pytest.mark.parametrize("size", [10, 12 * MIB])
@pytest.mark.parametrize("streamed", [True, False])
def test_another_digest_than_expected_keeps_nothing(kept: Kept, size: int, streamed: bool) -> None:
    content = some_bytes(size)

    async def story() -> None:
        files = kept.files()
        with pytest.raises(Sha256Mismatch, match=r"Sha256 mismatch\. Expected: A{43}= Actual: "):
            await files.put(new_key(CLOCK), stream(content) if streamed else content, sha256=bytes(32))
        key = new_key(CLOCK)
        await files.put(key, stream(content), sha256=hashlib.sha256(content).digest())
        assert len(kept.left()) == 1

    run(story)


@pytest.mark.parametrize("size", [10, 12 * MIB])
@pytest.mark.parametrize("error", [ConnectionResetError("away"), FileStorageFailed("DiskFailed", "x"), KeyError("x")])
def test_content_that_breaks_off_leaves_nothing(kept: Kept, size: int, error: Exception) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        async for chunk in stream(some_bytes(size)):
            yield chunk
        raise error

    async def story() -> None:
        with pytest.raises(type(error)) as raised:
            await kept.files().put(new_key(CLOCK), breaks())
        assert raised.value is error

    run(story)
    assert kept.left() == []


@pytest.mark.parametrize("size", [0, 10, 12 * MIB])
def test_a_cancelled_upload_leaves_nothing(kept: Kept, size: int) -> None:
    async def story() -> None:
        stuck = asyncio.Event()

        async def hangs() -> AsyncIterator[bytes]:
            async for chunk in stream(some_bytes(size)):
                yield chunk
            stuck.set()
            await asyncio.get_running_loop().create_future()

        uploading = asyncio.create_task(kept.files().put(new_key(CLOCK), hangs()))
        await stuck.wait()
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading

    run(story)
    assert kept.left() == []


def test_a_reader_may_stop_in_the_middle(kept: Kept) -> None:
    async def story() -> None:
        files, key = kept.files(), new_key(CLOCK)
        await files.put(key, some_bytes(4 * MIB))
        for _ in range(20):
            chunks = await files.open(key)
            first = await anext(chunks)
            assert first == some_bytes(len(first))
            await chunks.aclose()
        assert await content_of(files, key) == some_bytes(4 * MIB)

    run(story)


def test_what_is_older_than_a_moment(kept: Kept) -> None:
    async def story() -> None:
        files = kept.files()
        keys = {new_key(CLOCK) for _ in range(12)}
        for key in keys:
            await files.put(key, b"x")
        listed = [key async for some in files.older_than(CLOCK.now_ms() + 60_000) for key in some]
        assert sorted(listed) == sorted(keys)
        assert [some async for some in files.older_than(CLOCK.now_ms() - 60_000) if some] == []

    run(story)


def test_many_at_once(kept: Kept) -> None:
    async def story() -> None:
        files = kept.files()
        contents = {new_key(CLOCK): some_bytes(number * 50_000) for number in range(16)}
        await asyncio.gather(*(files.put(key, stream(content, 7_001)) for key, content in contents.items()))
        read = await asyncio.gather(*(content_of(files, key) for key in contents))
        assert read == list(contents.values())

    run(story)
