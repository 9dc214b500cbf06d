"""Time limits: whatever runs is ended in time, and no interrupt ever lands outside the guarded part."""

import asyncio
import gc
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from time import perf_counter
from types import FrameType
from typing import TypeVar

import pytest

from pyconvex.engine.driver import debugger
from pyconvex.engine.driver.foreign import NotDeterministic
from pyconvex.engine.driver.function_loop import FunctionLoop
from pyconvex.engine.driver.time_limit import (
    FunctionTimeout,
    TimeLimit,
    TimeLimitExceeded,
    alarm,
    guard,
    here,
    progress,
    trusted,
)

T = TypeVar("T")

LIMIT = 0.03
GENEROUS = 30.0
STRESS_SECONDS = float(os.environ.get("PYCONVEX_STRESS_SECONDS", "0.4"))
"""Of each stress test here."""


def on_this_thread(work: Callable[[], T]) -> T:
    return work()


def on_another_thread(work: Callable[[], T]) -> T:
    """Where signals do not reach."""
    results = list[T]()
    failures = list[BaseException]()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for failure in failures:
        raise failure
    return results[0]


def under_a_foreign_alarm(work: Callable[[], T]) -> T:
    with foreign_alarm() as rang:
        result = work()
    assert rang == []
    return result


@contextmanager
def foreign_alarm() -> Generator[list[int]]:
    rang = list[int]()

    def ring(number: int, _frame: FrameType | None) -> None:
        rang.append(number)

    signal.setitimer(signal.ITIMER_REAL, 0)
    ours = signal.signal(signal.SIGALRM, ring)
    try:
        yield rang
        assert signal.getsignal(signal.SIGALRM) is ring
    finally:
        signal.signal(signal.SIGALRM, ours)


Place = Callable[[Callable[[], object]], object]


@pytest.fixture(params=[on_this_thread, on_another_thread, under_a_foreign_alarm])
def place(request: pytest.FixtureRequest) -> Place:
    """Each way of interrupting."""
    alarm.stop()  # as if no call had run in the last second
    return request.param


def spin() -> None:
    while True:
        pass


def spin_in_calls() -> None:
    def deeper(depth: int) -> None:
        if depth:
            deeper(depth - 1)

    while True:
        deeper(20)


def swallow_exceptions() -> None:
    while True:
        with suppress(Exception):
            spin()


@pytest.mark.parametrize("work", [spin, spin_in_calls, swallow_exceptions])
def test_work_that_takes_too_long_is_ended(place: Place, work: Callable[[], None]) -> None:
    def run() -> None:
        limit = TimeLimit(LIMIT)
        with pytest.raises(TimeLimitExceeded):
            limit.guard(work)
        assert limit.expired
        assert limit.used_seconds >= LIMIT
        assert here.limit is None

    place(run)


def match_badly() -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


def sleep_long() -> None:
    time.sleep(GENEROUS)


def swallow_everything() -> None:
    while True:
        with suppress(BaseException):
            spin()


def go_on_after_finally() -> None:
    while True:
        try:
            spin()
        finally:
            continue  # noqa: B012  # that is the point


@pytest.mark.filterwarnings("ignore:.*'continue' in a 'finally' block:SyntaxWarning")
@pytest.mark.parametrize("work", [match_badly, sleep_long, swallow_everything, go_on_after_finally])
def test_signals_end_even_more(work: Callable[[], None]) -> None:
    with pytest.raises(TimeLimitExceeded):
        guard(work, LIMIT)


def fail() -> None:
    raise KeyError("x")


def test_what_ends_in_time_is_left_alone(place: Place) -> None:
    def run() -> None:
        assert guard(lambda: 7, GENEROUS) == 7
        with pytest.raises(KeyError):
            guard(fail, GENEROUS)
        assert here.limit is None

    place(run)


def test_the_flag_is_the_truth_when_the_interrupt_was_lost(place: Place) -> None:
    def swallow() -> str:
        with suppress(TimeLimitExceeded):
            spin()
        return "went on"

    def swallow_and_fail() -> None:
        swallow()
        raise KeyError("x")

    def run() -> None:
        for work in (swallow, swallow_and_fail):
            with pytest.raises(TimeLimitExceeded):
                guard(work, LIMIT)

    place(run)


def test_time_between_two_guards_does_not_count() -> None:
    limit = TimeLimit(GENEROUS)
    limit.guard(lambda: None)
    used = limit.used_seconds
    before = perf_counter()
    while perf_counter() - before < LIMIT:
        pass
    limit.guard(lambda: None)
    assert used < limit.used_seconds < LIMIT


def test_an_expired_limit_stays_expired() -> None:
    limit = TimeLimit(LIMIT)
    with pytest.raises(TimeLimitExceeded):
        limit.guard(spin)
    with pytest.raises(TimeLimitExceeded):
        limit.guard(lambda: None)
    with pytest.raises(TimeLimitExceeded):
        limit.check()


def test_a_nested_guard_shares_the_outer_limit(place: Place) -> None:
    def run() -> None:
        nested = TimeLimit(GENEROUS)
        outer = TimeLimit(LIMIT)
        with pytest.raises(TimeLimitExceeded):
            outer.guard(lambda: nested.guard(spin))
        assert (outer.expired, nested.expired) == (True, False)

    place(run)


def spin_until(condition: Callable[[], bool]) -> None:
    while not condition():
        pass


def test_trusted_code_is_interrupted_only_at_its_exit(place: Place) -> None:
    def run() -> None:
        limit = TimeLimit(LIMIT)
        record = list[str]()

        def work() -> None:
            with trusted():
                spin_until(lambda: limit.expired)
                with trusted():
                    record.append("inside")
                record.append("to its end")
            record.append("never")

        with pytest.raises(TimeLimitExceeded):
            limit.guard(work)
        assert record == ["inside", "to its end"]
        assert here.shield == 0

    place(run)


def test_user_code_after_trusted_code_is_still_limited(place: Place) -> None:
    def work() -> None:
        with trusted():
            pass
        spin()

    def run() -> None:
        with pytest.raises(TimeLimitExceeded):
            guard(work, LIMIT)

    place(run)


def test_trusted_is_harmless_outside_a_guard() -> None:
    with trusted():
        pass
    assert here.shield == 0


def test_sqlite_reads_stop_through_the_progress_handler(place: Place) -> None:
    def run() -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.set_progress_handler(progress, 20_000)
        connection.execute("CREATE TABLE numbers (n)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(1000)])
        connection.execute("BEGIN")
        connection.execute("INSERT INTO numbers VALUES (-1)")

        def query() -> None:
            with trusted():
                connection.execute("SELECT count(*) FROM numbers a, numbers b, numbers c, numbers d").fetchone()

        with pytest.raises(TimeLimitExceeded) as caught:
            guard(query, LIMIT)
        assert isinstance(caught.value.__context__, sqlite3.OperationalError)
        # The transaction has survived, and nothing stops the next statement.
        assert connection.in_transaction
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (1001,)
        connection.close()

    place(run)


def test_a_foreign_alarm_keeps_working() -> None:
    with foreign_alarm() as rang:
        guard(lambda: None, GENEROUS)
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        before = perf_counter()
        spin_until(lambda: bool(rang) or perf_counter() - before > GENEROUS)
        assert rang == [signal.SIGALRM]


def test_a_late_signal_falls_through() -> None:
    guard(lambda: None, 0.001)
    before = perf_counter()
    spin_until(lambda: perf_counter() - before > LIMIT)


def test_the_idle_process_has_no_timer() -> None:
    guard(lambda: None, 0.001)
    before = perf_counter()
    spin_until(lambda: signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) or perf_counter() - before > GENEROUS)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_debugger_stops_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = list[object]()

    def attached(frame: object) -> bool:
        looked.append(frame)
        return True

    monkeypatch.setattr(debugger, "attached", attached)
    limit = TimeLimit(LIMIT)
    limit.guard(lambda: spin_until(lambda: bool(looked)))
    assert not limit.expired


def test_a_short_limit_is_not_hidden_by_a_long_one() -> None:
    """The alarm of an earlier call rings later than this one's."""
    guard(lambda: None, GENEROUS)
    with pytest.raises(TimeLimitExceeded):
        guard(spin, LIMIT)


def test_the_timer_does_not_outlive_the_program() -> None:
    """A timer survives `exec`, where its signal would kill the next program; and the interpreter's own end."""
    program = """
import os, sys, time
from pyconvex.engine.driver import guard
from pyconvex.engine.driver import time_limit
guard.install()
time_limit.guard(lambda: None, 0.1)
assert time_limit.alarm.at
os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(0.3); print('alive')"])
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "alive\n"), ran.stderr


# --- nothing leaks


def churn(depth: int = 3) -> int:
    """A bit of everything that looks for signals: calls, loops, generators, C code, cleanup."""
    total = 0
    try:
        for number in range(20):
            total += sum(item for item in range(number))
            with suppress(ValueError):
                total += int(f"{number}")
        if depth:
            total += churn(depth - 1)
    finally:
        total += len(sorted(range(20), key=lambda item: -item))
    return total


def interrupt_at_random(seed: int) -> tuple[int, int]:
    """Run short pieces under random limits; how many ended in time, and how many did not."""
    chance = random.Random(seed)
    ended, expired = 0, 0
    until = perf_counter() + STRESS_SECONDS
    while perf_counter() < until:
        limit = TimeLimit(chance.uniform(1e-6, 6e-4))
        try:
            limit.guard(lambda: trusting(chance))
            ended += 1
        except TimeLimitExceeded:
            expired += 1
        assert here.limit is None
        assert here.shield == 0
        assert here.watch is None
        churn(1)  # what leaks lands here and fails the test
    return ended, expired


def trusting(chance: random.Random) -> None:
    for _ in range(chance.randrange(4)):
        churn()
        with trusted():
            churn(1)


@pytest.fixture
def swallowed(monkeypatch: pytest.MonkeyPatch) -> deque[object]:
    """What Python swallowed. Its hook is code in C: one in Python would be interrupted too."""
    errors = deque[object](maxlen=100)
    monkeypatch.setattr(sys, "unraisablehook", errors.append)
    return errors


@pytest.mark.parametrize("seed", range(2))
def test_no_interrupt_lands_outside(place: Place, seed: int) -> None:
    def run() -> None:
        ended, expired = interrupt_at_random(seed)
        assert ended
        assert expired

    place(run)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_no_interrupt_lands_outside_a_function_loop(swallowed: deque[object]) -> None:
    chance = random.Random(0)
    outcomes = {"ended": 0, "expired": 0}

    async def handler() -> int:
        async with asyncio.TaskGroup() as group:
            for _ in range(chance.randrange(1, 5)):
                group.create_task(asyncio.sleep(0))
                churn(1)
        return await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) and churn(0)

    async def main() -> None:
        until = perf_counter() + STRESS_SECONDS
        real_loop, task, hooks = asyncio.get_running_loop(), asyncio.current_task(), sys.get_asyncgen_hooks()
        while perf_counter() < until:
            try:
                await FunctionLoop(chance.uniform(1e-6, 1e-3)).run(handler())
                outcomes["ended"] += 1
            except (FunctionTimeout, NotDeterministic):
                outcomes["expired"] += 1
            assert (asyncio.get_running_loop(), asyncio.current_task(), sys.get_asyncgen_hooks()) == (
                real_loop,
                task,
                hooks,
            )
            await asyncio.sleep(0)

    asyncio.run(main())
    swallowed.clear()
    gc.collect()  # what was interrupted is freed here, where its warnings are expected
    assert all(outcomes.values())
