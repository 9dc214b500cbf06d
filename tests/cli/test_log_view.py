"""The live log: batches, pausing, and what happens when requests come faster than anybody reads."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar

from pyconvex.engine.logs.logs import Completion
from pyconvex_cli.console import Terminal
from pyconvex_cli.log_rows import Layout
from pyconvex_cli.log_view import HELD_MAX, SHOWN_AT_ONCE, LogView


def done(identifier: str, error: str | None = None, number: int = 0, parent: str | None = None) -> Completion:
    return Completion(
        udf_type="Query",
        identifier=identifier,
        request_id=f"r{number}",
        execution_id=f"{identifier} {number}",
        parent_execution_id=parent,
        caller="HttpApi",
        identity_type="unknown",
        execution_timestamp=0.0,
        execution_time=0.001,
        user_execution_time=0.001,
        log_lines=[],
        error=error,
    )


class Shown:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.writes = 0

    def write(self, lines: Iterable[str]) -> None:
        self.writes += 1
        self.lines += lines

    @property
    def rows(self) -> list[str]:
        return [line for line in self.lines if not line.startswith("Time")]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


def run(story: Callable[[LogView, Shown], Awaitable[None]], *, everything: bool = False) -> Shown:
    shown = Shown()

    async def main() -> None:
        layout = Layout.fitting([], Terminal(False, 200))
        await story(LogView(shown.write, lambda: layout, everything=everything), shown)

    asyncio.run(main())
    return shown


def test_requests_of_one_moment_are_one_write_below_one_header() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        for number in range(3):
            view.receive(done("m:f", number=number))
        await shown.until(lambda: len(shown.rows) == 3)
        view.receive(done("m:g", number=9))
        await shown.until(lambda: len(shown.rows) == 4)

    shown = run(story)
    assert shown.writes == 2
    assert [line.startswith("Time") for line in shown.lines] == [True, False, False, False, False]


def test_the_header_comes_again_after_other_output() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        view.receive(done("m:f"))
        await shown.until(lambda: len(shown.rows) == 1)
        view.header_again()
        view.receive(done("m:f", number=1))
        await shown.until(lambda: len(shown.rows) == 2)

    assert sum(line.startswith("Time") for line in run(story).lines) == 2


def test_a_flood_is_counted_instead_of_shown_but_failures_are_shown() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        for number in range(SHOWN_AT_ONCE + 300):
            view.receive(done("m:f" if number % 3 else "m:g", number=number))
        view.receive(done("m:broken", error="Uncaught ValueError: boom", number=1000))
        await shown.until(lambda: bool(shown.rows))

    rows = run(story).rows
    assert len(rows) == SHOWN_AT_ONCE + 3
    assert "m:broken" in rows[-3]
    assert "ValueError: boom" in rows[-2]
    assert rows[-1] == "… 301 more requests: 200 × m:f, 100 × m:g, 1 × m:broken"


def test_a_flood_that_goes_on_is_shown_in_fewer_writes() -> None:
    requests = 12 * SHOWN_AT_ONCE

    async def story(view: LogView, shown: Shown) -> None:
        for number in range(requests):
            view.receive(done("m:f", number=number))
            if number % SHOWN_AT_ONCE == 0:
                await asyncio.sleep(0.04)
        view.close()

    shown = run(story)
    counts = [int(line.split()[1]) for line in shown.rows if line.startswith("…")]
    told = len(shown.rows) - len(counts) + sum(counts)
    assert told == requests
    assert shown.writes < 8


def test_verbose_shows_everything() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        for number in range(SHOWN_AT_ONCE + 5):
            view.receive(done("m:f", number=number))
        await shown.until(lambda: bool(shown.rows))

    assert len(run(story, everything=True).rows) == SHOWN_AT_ONCE + 5


def test_a_paused_log_keeps_what_comes() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        assert view.toggle_pause()
        for number in range(HELD_MAX + 7):
            view.receive(done("m:f", number=number))
        await asyncio.sleep(0.1)
        assert shown.rows == []
        assert not view.toggle_pause()
        assert shown.rows[0] == "… 7 requests not shown"

    run(story, everything=True)


def test_a_held_log_is_released() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        view.hold()
        view.receive(done("m:f"))
        await asyncio.sleep(0.1)
        assert shown.rows == []
        view.release()
        assert len(shown.rows) == 1

    run(story)


def test_closing_shows_what_is_left_even_of_requests_that_go_on() -> None:
    async def story(view: LogView, shown: Shown) -> None:
        view.toggle_pause()
        view.receive(done("m:inner", parent="outer"))
        view.close()
        assert "m:inner" in shown.rows[0]

    run(story)


def test_rows_are_not_written_as_a_part_of_the_function_they_tell_of() -> None:
    """`print` inside a function makes log lines, so a row printed there would become one, and so on for ever."""
    inside = ContextVar("inside", default=False)
    seen: list[bool] = []

    async def main() -> None:
        layout = Layout.fitting([], Terminal(False, 200))
        view = LogView(lambda _: seen.append(inside.get()), lambda: layout)
        inside.set(True)
        view.receive(done("m:f"))
        while not seen:
            await asyncio.sleep(0.005)

    asyncio.run(main())
    assert seen == [False]
