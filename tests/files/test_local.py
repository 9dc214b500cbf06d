"""Stored files: whole or not there, under names that nobody chooses, never outside their folder."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import SystemClock
from pyconvex.errors import StartFailed
from pyconvex.files.local import ABANDONED_SECONDS, LocalFiles
from pyconvex.files.storage import FileStorage, FileStorageFailed, StoredFile, new_key

CLOCK = SystemClock()


async def content_of(files: FileStorage, key: str, *, start: int = 0, stop: int | None = None) -> list[bytes]:
    return [chunk async for chunk in await files.open(key, start=start, stop=stop)]


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_a_crash_left_is_cleared_away(tmp_path: Path) -> None:
    async def main() -> StoredFile:
        return await LocalFiles(tmp_path).put(new_key(CLOCK), b"kept")

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
        with pytest.raises(FileStorageFailed, match="No space left on device"):
            await LocalFiles(tmp_path).put(new_key(CLOCK), b"x")

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
    asyncio.run(LocalFiles(tmp_path).put(new_key(CLOCK), b"x"))
    assert events[-2:] == ["rename", "sync"]
    assert events[0] == "sync"


def test_nobody_else_can_look_into_the_folder(tmp_path: Path) -> None:
    LocalFiles(tmp_path / "data" / "files")
    assert (tmp_path / "data" / "files").stat().st_mode & 0o077 == 0


def test_an_upload_that_is_cancelled_while_its_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = LocalFiles(tmp_path)
    began, go_on, ended = (threading.Event() for _ in range(3))
    path_open: Callable[..., Any] = Path.open

    def slow(path: Path, *args: Any, **named: Any) -> Any:
        began.set()
        assert go_on.wait(10)
        try:
            return path_open(path, *args, **named)
        finally:
            ended.set()

    monkeypatch.setattr(Path, "open", slow)

    async def main() -> None:
        putting = asyncio.create_task(files.put(new_key(CLOCK), b"x"))
        await asyncio.to_thread(began.wait, 10)
        putting.cancel()
        await asyncio.wait([putting], timeout=0.05)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await asyncio.to_thread(ended.wait, 10)

    asyncio.run(main())
    assert everything_in(tmp_path) == []


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
        putting = asyncio.create_task(LocalFiles(tmp_path).put(new_key(CLOCK), b"x"))
        while not syncing.is_set():
            await asyncio.sleep(0.001)
        release.set()
        await putting

    asyncio.run(main())
