"""The watchdog names the user's line that blocks the event loop."""

import asyncio
import bdb
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from types import FrameType, ModuleType

import pytest

from pyconvex.engine.driver import debugger, guard
from pyconvex.engine.driver.watchdog import BLOCKED_SECONDS, Blocked, Watchdog
from pyconvex.errors import Place

PATIENCE_SECONDS = 20.0

SOURCE = """\
import time


def spin(over):
    while not over():
        pass


def sleep(over):
    while not over():
        time.sleep(0.15)


def wait(event):
    event.wait(
        timeout=20,
    )


def ärger(over): return [over, sleep(over)]
"""


@pytest.fixture
def project(tmp_path: Path) -> ModuleType:
    """A module of the user's, loaded from `convex/` of their project."""
    path = tmp_path / "convex" / "slow.py"
    path.parent.mkdir()
    path.write_text(SOURCE)
    return load(path)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reports:
    def __init__(self) -> None:
        self.all = list[Blocked]()
        self.came = threading.Event()
        self.started = perf_counter()

    def add(self, blocked: Blocked) -> None:
        self.all.append(blocked)
        self.came.set()

    def over(self) -> bool:
        """Whether the block may end: it was reported, or nobody ever will."""
        return self.came.is_set() or perf_counter() - self.started > PATIENCE_SECONDS


@pytest.fixture
def reports() -> Reports:
    return Reports()


def block(root: Path, reports: Reports, *works: Callable[[], object]) -> None:
    """Run each of `works` in one go on a watched loop."""

    async def main() -> None:
        with Watchdog(asyncio.get_running_loop(), reports.add, root):
            for work in works:
                work()
                await beats()

    asyncio.run(main())


async def beats() -> None:
    """Until the loop has run for longer than the watchdog needs to see that it does."""
    for _ in range(4):
        await asyncio.sleep(BLOCKED_SECONDS / 2)


@pytest.mark.parametrize(
    ("function", "line", "called"),
    [("spin", 5, "over"), ("sleep", 11, "time.sleep"), ("ärger", 11, "time.sleep")],
)
def test_a_blocked_loop_is_reported_with_its_line(
    project: ModuleType, tmp_path: Path, reports: Reports, function: str, line: int, called: str
) -> None:
    block(tmp_path, reports, lambda: getattr(project, function)(reports.over))
    (blocked,) = reports.all
    if function == "spin":
        assert blocked.place.line in (4, 5, 6)
        assert blocked.function in ("over", None)
    else:
        assert (blocked.place.line, blocked.function) == (line, called)
    assert blocked.place.file == "convex/slow.py"
    assert BLOCKED_SECONDS < blocked.seconds < PATIENCE_SECONDS


def test_what_a_call_over_many_lines_calls_is_named(project: ModuleType, tmp_path: Path, reports: Reports) -> None:
    block(tmp_path, reports, lambda: project.wait(reports.came))
    assert [(blocked.place, blocked.function) for blocked in reports.all] == [
        (Place("convex/slow.py", 15), "event.wait")
    ]


def test_the_text_is_the_one_that_runs(project: ModuleType, tmp_path: Path, reports: Reports) -> None:
    """The file may have been saved since; the loader knows what it has loaded."""

    class Loader:
        def get_source(self, name: str) -> str:
            return SOURCE.replace("time.sleep(0.15)", "time.slept(.15)")

    project.__loader__ = Loader()  # pyright: ignore[reportAttributeAccessIssue]  # it has what is needed
    block(tmp_path, reports, lambda: project.sleep(reports.over))
    assert [blocked.function for blocked in reports.all] == ["time.slept"]


def test_a_place_is_reported_once(project: ModuleType, tmp_path: Path, reports: Reports) -> None:
    again = threading.Event()

    def long_enough() -> bool:
        """For longer than the first time, with nothing to come."""
        return perf_counter() - began > 4 * BLOCKED_SECONDS

    began = 0.0

    def second() -> None:
        nonlocal began
        began = perf_counter()
        again.set()
        project.sleep(long_enough)

    block(tmp_path, reports, lambda: project.sleep(reports.over), second)
    assert again.is_set()
    assert [blocked.place.line for blocked in reports.all] == [11]


def test_only_the_users_lines_are_reported(
    project: ModuleType, tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code outside the project, and an installed package inside it."""
    package = tmp_path / "venv" / "slow.py"
    package.parent.mkdir()
    package.write_text(SOURCE)

    def is_library(filename: str) -> bool:
        return Path(filename) == package

    monkeypatch.setattr(guard, "is_library", is_library)
    looked = threading.Event()
    stack = debugger.stack

    def look(frame: FrameType | None) -> Iterator[FrameType]:
        yield from stack(frame)
        looked.set()

    monkeypatch.setattr(debugger, "stack", look)
    for module, root in ((project, tmp_path / "elsewhere"), (load(package), tmp_path)):
        looked.clear()
        block(root, reports, lambda: module.sleep(lambda: looked.is_set() or reports.over()))  # noqa: B023  # now
        assert looked.is_set()
    assert reports.all == []


def test_a_loop_that_runs_is_not_reported(tmp_path: Path, reports: Reports) -> None:
    async def main() -> None:
        with Watchdog(asyncio.get_running_loop(), reports.add, tmp_path):
            await beats()

    asyncio.run(main())
    assert reports.all == []


def test_nobody_is_blamed_for_standing_in_a_debugger(
    project: ModuleType, tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def look(_frame: object) -> bool:
        looked.set()
        return True

    monkeypatch.setattr(debugger, "attached", look)
    block(tmp_path, reports, lambda: project.sleep(lambda: looked.is_set() or reports.over()))
    assert looked.is_set()
    assert reports.all == []


def test_a_debugger_is_recognised() -> None:
    def stopped(frame_of: Callable[[], bool]) -> bool:
        return frame_of()

    seen = list[bool]()

    class Stop(bdb.Bdb):
        def user_line(self, frame: object) -> None:
            seen.append(debugger.attached(sys._getframe()))  # pyright: ignore[reportPrivateUsage]  # documented
            self.set_continue()

    before = sys.gettrace()
    try:
        Stop().runcall(stopped, lambda: True)
    finally:
        sys.settrace(before)
    assert seen == [True]
    assert debugger.attached(sys._getframe()) is False  # pyright: ignore[reportPrivateUsage]  # documented


def test_it_stops(tmp_path: Path, reports: Reports) -> None:
    async def main() -> None:
        watchdog = Watchdog(asyncio.get_running_loop(), reports.add, tmp_path)
        watchdog.start()
        watchdog.stop()

    asyncio.run(main())
    assert "pyconvex-watchdog" not in [thread.name for thread in threading.enumerate()]
