"""Which changes count, and that the operating system tells of them."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyconvex_cli.snapshot import Stamp, snapshot
from pyconvex_cli.watcher import Matter, Watched, Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PROJECT = Path("/app")
WATCHED = Watched(PROJECT, PROJECT / "convex", frozenset([PROJECT / "shared" / "helpers.py"]))


@pytest.mark.parametrize(
    ("path", "matter"),
    [
        ("convex/messages.py", Matter.FUNCTIONS),
        ("convex/admin/reports.py", Matter.FUNCTIONS),
        ("convex/_private.py", Matter.FUNCTIONS),
        ("convex/_generated/api.py", None),
        ("convex/__pycache__/messages.cpython-311.pyc", None),
        ("convex/admin/__pycache__/x.py", None),
        ("convex/messages.ts", None),
        ("convex/.messages.py.swp", None),
        ("convex/.#messages.py", None),
        ("convex/#messages.py#", None),
        ("convex/messages.py~", None),
        ("convex/4913", None),
        ("convex/messages.py___jb_tmp___", None),
        ("convex/.hidden/x.py", None),
        (".env.local", Matter.ENV_LOCAL),
        ("pyproject.toml", Matter.SETTINGS),
        ("shared/helpers.py", Matter.OUTSIDE),
        ("shared/other.py", None),
        ("README.md", None),
        ("sub/pyproject.toml", None),
        (".pyconvex/data.sqlite3", None),
    ],
)
def test_what_matters(path: str, matter: Matter | None) -> None:
    assert WATCHED.matter(PROJECT / path) is matter


def test_changes_are_sorted_by_what_they_mean() -> None:
    paths = {PROJECT / name for name in ("convex/b.py", "convex/a.py", ".env.local", "README.md")}
    assert WATCHED.sorted_by_matter(paths) == {
        Matter.FUNCTIONS: [PROJECT / "convex/a.py", PROJECT / "convex/b.py"],
        Matter.ENV_LOCAL: [PROJECT / ".env.local"],
    }


class Seen:
    """What a watcher reported, and a way to wait for it."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.files: dict[Matter, set[str]] = {}

    def report(self, found: dict[Matter, list[Path]]) -> None:
        for matter, paths in found.items():
            self.files.setdefault(matter, set()).update(path.relative_to(self.project).as_posix() for path in paths)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def saw(self, matter: Matter, name: str) -> None:
        await self.until(lambda: name in self.files.get(matter, ()))


@asynccontextmanager
async def watching(
    project: Path, known: Mapping[Path, Stamp] | None = None
) -> "AsyncGenerator[tuple[Watcher, Seen], None]":
    seen = Seen(project)
    watched = Watched(project, project / "convex")
    watcher = Watcher(watched, seen.report)
    await asyncio.to_thread(watcher.start, snapshot(watched.functions) if known is None else known)
    try:
        yield watcher, seen
    finally:
        await asyncio.to_thread(watcher.stop)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "convex" / "admin").mkdir(parents=True)
    (tmp_path / "convex" / "messages.py").write_text("")
    (tmp_path / "node_modules" / "deep").mkdir(parents=True)
    return tmp_path


def test_a_save_is_reported_at_once(project: Path) -> None:
    async def story() -> None:
        async with watching(project) as (_, seen):
            begun = time.perf_counter()
            (project / "convex/messages.py").write_text("x = 1\n")
            await seen.saw(Matter.FUNCTIONS, "convex/messages.py")
            assert time.perf_counter() - begun < 2  # some 10 ms where the machine has nothing else to do
            (project / "convex/admin/new.py").write_text("")
            await seen.saw(Matter.FUNCTIONS, "convex/admin/new.py")

    asyncio.run(story())


def test_every_way_of_saving_is_seen(project: Path) -> None:
    def atomically(path: Path) -> None:
        fresh = path.with_suffix(".tmp")
        fresh.write_text("x = 2\n")
        fresh.replace(path)

    def as_a_backup(path: Path) -> None:
        path.rename(path.with_name("messages.py~"))
        path.write_text("x = 3\n")

    async def story() -> None:
        path = project / "convex/messages.py"
        for save in (atomically, as_a_backup, Path.unlink, Path.touch):
            async with watching(project) as (_, seen):
                save(path)
                await seen.saw(Matter.FUNCTIONS, "convex/messages.py")
                assert seen.files == {Matter.FUNCTIONS: {"convex/messages.py"}}

    asyncio.run(story())


def test_the_files_around_are_watched_but_not_the_folders_around(project: Path) -> None:
    async def story() -> None:
        async with watching(project) as (_, seen):
            (project / "node_modules/deep/pyproject.toml").write_text("")
            (project / ".env.local").write_text("A=1\n")
            await seen.saw(Matter.ENV_LOCAL, ".env.local")
            (project / "pyproject.toml").write_text("")
            await seen.saw(Matter.SETTINGS, "pyproject.toml")
            assert set(seen.files) == {Matter.ENV_LOCAL, Matter.SETTINGS}

    asyncio.run(story())


def test_imported_files_outside_are_watched_once_they_are_known(project: Path) -> None:
    helpers = project / "shared" / "helpers.py"
    helpers.parent.mkdir()
    helpers.write_text("")

    async def story() -> None:
        async with watching(project) as (watcher, seen):
            watcher.outside(frozenset([helpers]))

            async def save_until_seen() -> None:
                while Matter.OUTSIDE not in seen.files:
                    helpers.write_text(f"x = {time.time()}\n")
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(save_until_seen(), 20)
            assert seen.files == {Matter.OUTSIDE: {"shared/helpers.py"}}

    asyncio.run(story())


def test_a_folder_that_is_made_anew_is_still_watched(project: Path) -> None:
    async def story() -> None:
        async with watching(project) as (_, seen):
            (project / "convex").rename(project / "old")
            await seen.saw(Matter.FUNCTIONS, "convex")
            (project / "convex").mkdir()

            async def save_until_seen() -> None:
                while "convex/fresh.py" not in seen.files[Matter.FUNCTIONS]:
                    (project / "convex/fresh.py").write_text(f"x = {time.time()}\n")
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(save_until_seen(), 20)

    asyncio.run(story())


def test_what_was_saved_before_the_watch_began_is_not_missed(project: Path) -> None:
    async def story() -> None:
        known = snapshot(project / "convex")
        (project / "convex/admin/new.py").write_text("")
        (project / "convex/messages.py").unlink()
        async with watching(project, known) as (_, seen):
            await seen.saw(Matter.FUNCTIONS, "convex/admin/new.py")
            assert seen.files == {Matter.FUNCTIONS: {"convex/admin/new.py", "convex/messages.py"}}

    asyncio.run(story())


def test_a_stopped_watcher_leaves_no_threads(project: Path) -> None:
    async def story() -> None:
        async with watching(project):
            assert _watching_threads() == 2
        assert _watching_threads() == 0

    asyncio.run(story())


def _watching_threads() -> int:
    return sum(thread.name.startswith("pyconvex-watch") for thread in threading.enumerate())
