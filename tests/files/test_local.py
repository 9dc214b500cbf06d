"""Stored files: whole or not there, under names that nobody chooses, never outside their folder."""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pyconvex.errors import StartFailed
from pyconvex.files.local import ABANDONED_SECONDS, CHUNK_BYTES, FileNotStored, LocalFiles
from pyconvex.files.storage import FileMissing, FileStorage, StoredFile


async def content_of(files: FileStorage, key: str, *, start: int = 0, stop: int | None = None) -> list[bytes]:
    return [chunk async for chunk in await files.open(key, start=start, stop=stop)]


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 1])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_file_comes_back_in_chunks(tmp_path: Path, size: int, streamed: bool) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield content[start : start + 100_000]

    async def main() -> tuple[StoredFile, list[bytes]]:
        files = LocalFiles(tmp_path / "files")
        stored = await files.put(stream() if streamed else content)
        return stored, await content_of(LocalFiles(tmp_path / "files"), stored.key)

    stored, chunks = asyncio.run(main())
    assert b"".join(chunks) == content
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).digest())


@pytest.mark.parametrize(
    ("start", "stop", "expected"), [(0, 3, b"abc"), (4, None, b"efgh"), (2, 2, b""), (6, 99, b"gh")]
)
def test_a_part_of_a_file(tmp_path: Path, start: int, stop: int | None, expected: bytes) -> None:
    async def main() -> bytes:
        files = LocalFiles(tmp_path)
        stored = await files.put(b"abcdefgh")
        return b"".join(await content_of(files, stored.key, start=start, stop=stop))

    assert asyncio.run(main()) == expected


def test_the_same_content_is_two_files(tmp_path: Path) -> None:
    async def main() -> None:
        files = LocalFiles(tmp_path)
        first, second = await files.put(b"same"), await files.put(b"same")
        await files.delete(first.key)
        with pytest.raises(FileMissing):
            await files.open(first.key)
        assert await content_of(files, second.key) == [b"same"]
        await files.delete(first.key)

    asyncio.run(main())


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "../secret",
        "/etc/hostname",
        "incoming",
        "se/secret",
        "..\\secret",
        "00000000-0000-4000-8000-000000000000",
        "00000000-0000-4000-8000-000000000000\n",
        "00000000-0000-4000-8000-00000000000/",
        "\0",
        "A" * 5000,
    ],
)
def test_no_key_leads_anywhere_else(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "files" / "se").mkdir(parents=True)
    (tmp_path / "files" / "se" / "secret").write_text("secret")

    async def main() -> None:
        files = LocalFiles(tmp_path / "files")
        with pytest.raises(FileMissing):
            await files.open(key)
        await files.delete(key)

    asyncio.run(main())
    assert len(everything_in(tmp_path)) == 2


def test_a_failing_upload_leaves_nothing(tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"x" * (CHUNK_BYTES + 1)
        raise ConnectionResetError("the client went away")

    async def main() -> None:
        with pytest.raises(ConnectionResetError):
            await LocalFiles(tmp_path).put(breaks())

    asyncio.run(main())
    assert everything_in(tmp_path) == []


def test_a_cancelled_upload_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        stuck = asyncio.Event()

        async def hangs() -> AsyncIterator[bytes]:
            yield b"x" * (CHUNK_BYTES + 1)
            stuck.set()
            await asyncio.get_running_loop().create_future()

        uploading = asyncio.create_task(LocalFiles(tmp_path).put(hangs()))
        await stuck.wait()
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading

    asyncio.run(main())
    assert everything_in(tmp_path) == []


def test_what_a_crash_left_is_cleared_away(tmp_path: Path) -> None:
    async def main() -> StoredFile:
        return await LocalFiles(tmp_path).put(b"kept")

    stored = asyncio.run(main())
    (tmp_path / "incoming" / "half").write_bytes(b"ha")
    LocalFiles(tmp_path)
    assert [path.name for path in everything_in(tmp_path)] == [stored.key]


def test_what_another_process_receives_is_left_alone(tmp_path: Path) -> None:
    LocalFiles(tmp_path, shared=True)
    for name, age in (("growing", 0.0), ("abandoned", 2 * ABANDONED_SECONDS)):
        file = tmp_path / "incoming" / name
        file.write_bytes(b"ha")
        os.utime(file, (time.time() - age, time.time() - age))
    LocalFiles(tmp_path, shared=True)
    assert [path.name for path in everything_in(tmp_path)] == ["growing"]


def test_a_disk_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)

    async def main() -> None:
        with pytest.raises(FileNotStored, match="No space left on device"):
            await LocalFiles(tmp_path).put(b"x")

    asyncio.run(main())
    assert everything_in(tmp_path) == []


def test_a_file_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    rename = Path.rename

    def noted(path: Path, target: Path) -> Path:
        events.append("rename")
        return rename(path, target)

    def sync(_descriptor: int) -> None:
        events.append("sync")

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr(Path, "rename", noted)
    asyncio.run(LocalFiles(tmp_path).put(b"x"))
    assert events[-2:] == ["rename", "sync"]
    assert events[0] == "sync"


def test_an_unusable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartFailed):
        LocalFiles(tmp_path / "file")


def test_the_loop_goes_on_while_the_disk_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing = threading.Event()
    release = threading.Event()

    def slow(_descriptor: int) -> None:
        syncing.set()
        assert release.wait(10)

    monkeypatch.setattr("os.fsync", slow)

    async def main() -> None:
        putting = asyncio.create_task(LocalFiles(tmp_path).put(b"x"))
        while not syncing.is_set():
            await asyncio.sleep(0.001)
        release.set()
        await putting

    asyncio.run(main())
