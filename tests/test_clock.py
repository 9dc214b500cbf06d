"""The clock: alarms that ring at their time, and time that moves by hand."""

import asyncio

import pytest

from pyconvex.clock import ManualClock, SystemClock, sleep


def test_a_manual_clock_rings_what_it_passes_in_order() -> None:
    clock, rung = ManualClock(1000.0), list[str]()
    clock.alarm(1300.0, lambda: rung.append("third"))
    clock.alarm(1200.0, lambda: rung.append("first"))
    clock.alarm(1200.0, lambda: rung.append("second"))
    clock.alarm(1250.0, lambda: rung.append("cancelled")).cancel()
    clock.advance(0.1)
    assert rung == []
    clock.move_to(1299.0)
    assert rung == ["first", "second"]
    clock.advance(0.001)
    assert rung == ["first", "second", "third"]
    clock.alarm(1300.0, lambda: rung.append("at once"))
    assert rung[-1] == "at once"


@pytest.mark.parametrize("at_ms", [1_795_353_053_131.4849, 1_795_353_053_131.4851, 1_795_353_053_131.0, 0.1, 7.3])
def test_a_manual_clock_comes_to_every_moment_and_never_goes_back(at_ms: float) -> None:
    clock = ManualClock(0.0)
    clock.move_to(at_ms)
    assert at_ms <= clock.now_ms() <= at_ms + 0.001
    clock.move_to(at_ms - 100)
    assert clock.now_ms() >= at_ms


def test_sleeping_by_a_clock() -> None:
    async def main() -> None:
        clock = ManualClock(1000.0)
        sleeping = asyncio.create_task(sleep(clock, 5))
        await asyncio.sleep(0.01)
        clock.advance(4.9)
        await asyncio.sleep(0.01)
        assert not sleeping.done()
        clock.advance(0.2)
        await sleeping
        before = SystemClock().now_ms()
        await sleep(SystemClock(), 0.02)
        assert SystemClock().now_ms() - before >= 19

    asyncio.run(main())
