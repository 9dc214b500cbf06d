"""Sweeping: bytes that no file has go when they are old enough, and no others do."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from pyconvex.engine.files import file_sweep
from pyconvex.engine.files.file_sweep import AGE_SECONDS, FileSweep
from pyconvex.files.storage import FileStorageFailed, new_key
from pyconvex.settings import Limits
from support.deployment import Deployment, deployment

pytestmark = pytest.mark.usefixtures("every_engine")

FILES = """
@action
async def store(ctx, text: str):
    return await ctx.storage.store(Blob([text]))

@action
async def get(ctx, id: str):
    return await (await ctx.storage.get(id)).text()

@mutation
async def delete(ctx, id: str):
    await ctx.storage.delete(id)
"""


def make_old(t: Deployment, seconds: float = AGE_SECONDS + 60) -> None:
    for path in stored(t):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def stored(t: Deployment) -> list[Path]:
    return [path for path in (t.root / "files").rglob("*") if path.is_file()]


def test_only_orphans_go(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            kept = [await t.value("store", text=f"file {number}") for number in range(5)]
            for number in range(3):
                await t.files.put(new_key(t.runner.services.clock), f"orphan {number}".encode())
            sweep = FileSweep(t.runner.services)
            assert await sweep.sweep() == 0, "they may belong to files in the making"
            make_old(t)
            young = await t.files.put(new_key(t.runner.services.clock), b"young")
            assert await sweep.sweep() == 3
            assert await sweep.sweep() == 0
            assert [await t.value("get", id=file) for file in kept] == [f"file {number}" for number in range(5)]
            assert len(stored(t)) == 6
            assert young.key in [path.name for path in stored(t)]

    asyncio.run(test())


def test_what_a_deletion_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            file = await t.value("store", text="x")

            async def crashed(_key: str) -> None: ...

            with monkeypatch.context() as crash:
                crash.setattr(t.files, "delete", crashed)
                await t.value("delete", id=file)
                await t.runner.services.removals.settled()
            assert len(stored(t)) == 1
            make_old(t)
            assert await FileSweep(t.runner.services).sweep() == 1
            assert stored(t) == []

    asyncio.run(test())


def test_what_nobody_receives_any_more_goes(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            half = t.root / "files" / "incoming" / new_key(t.runner.services.clock)
            half.write_bytes(b"ha")
            await FileSweep(t.runner.services).sweep()
            assert half.exists()
            make_old(t)
            await FileSweep(t.runner.services).sweep()
            assert stored(t) == []

    asyncio.run(test())


@pytest.mark.parametrize("limits", [Limits(upload_seconds=2 * AGE_SECONDS), Limits(action_seconds=2 * AGE_SECONDS)])
def test_where_uploads_may_take_long_orphans_have_to_be_older(tmp_path: Path, limits: Limits) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES, limits=limits) as t:
            await t.files.put(new_key(t.runner.services.clock), b"orphan")
            make_old(t, 3 * AGE_SECONDS)
            assert await FileSweep(t.runner.services).sweep() == 0
            make_old(t, 2 * AGE_SECONDS)
            assert await FileSweep(t.runner.services).sweep() == 1

    asyncio.run(test())


def test_it_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            await t.files.put(new_key(t.runner.services.clock), b"orphan")
            make_old(t)
            failures = [RuntimeError("a fault of ours"), FileStorageFailed("StorageUnreachable", "away")]
            older_than = t.files.older_than

            def fails(at_ms: float) -> AsyncIterator[Sequence[str]]:
                if failures:
                    raise failures.pop()
                return older_than(at_ms)

            monkeypatch.setattr(t.files, "older_than", fails)
            monkeypatch.setattr(file_sweep, "EVERY_SECONDS", 0.001)
            sweep = FileSweep(t.runner.services)
            sweep.start()
            async with asyncio.timeout(10):
                while stored(t):
                    await asyncio.sleep(0.005)
            await sweep.close()

    asyncio.run(test())


def test_it_sweeps_at_the_start(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, FILES) as t:
            await t.files.put(new_key(t.runner.services.clock), b"orphan")
            make_old(t)
            sweep = FileSweep(t.runner.services)
            sweep.start()
            async with asyncio.timeout(10):
                while stored(t):
                    await asyncio.sleep(0.005)
            await sweep.close()

    asyncio.run(test())
