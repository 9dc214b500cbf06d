"""The miniature event loop: what works inside it, what it refuses, and what it leaves behind (nothing)."""

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from pyconvex.engine.driver import function_loop as function_loop_module
from pyconvex.engine.driver.foreign import FunctionExited, NotDeterministic
from pyconvex.engine.driver.function_loop import FunctionLoop, current_function_loop
from pyconvex.engine.driver.guard import NotInQueriesOrMutations
from pyconvex.engine.driver.time_limit import FunctionTimeout
from pyconvex.errors import PyconvexError

T = TypeVar("T")
Runner = Callable[[Coroutine[Any, Any, T]], T]
log: contextvars.ContextVar[list[int]] = contextvars.ContextVar("log")


def plain(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main, debug=False)


def debugging(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main, debug=True)


def on_uvloop(main: Coroutine[Any, Any, T]) -> T:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@pytest.fixture(params=[plain, debugging, on_uvloop])
def real(request: pytest.FixtureRequest) -> Runner[Any]:
    """Each kind of real loop."""
    return request.param


async def call(main: Coroutine[Any, Any, T], seconds: float = 5.0, loop: FunctionLoop | None = None) -> T:
    """Run `main` in a FunctionLoop, and check that nothing of the real loop has changed."""
    before = (asyncio.get_running_loop(), asyncio.current_task(), sys.get_asyncgen_hooks())
    try:
        return await (loop or FunctionLoop(seconds)).run(main)
    finally:
        assert (asyncio.get_running_loop(), asyncio.current_task(), sys.get_asyncgen_hooks()) == before
        assert current_function_loop() is None


def inner() -> FunctionLoop:
    loop = current_function_loop()
    assert loop is not None
    return loop


async def value(result: T) -> T:
    return result


async def later(result: T, turns: int = 3) -> T:
    """A store call of the real loop that takes some turns."""
    for _ in range(turns):
        await asyncio.sleep(0)
    return result


async def fails_later(turns: int = 3) -> None:
    await later(None, turns)
    raise ValueError("the store failed")


class Store:
    """Stands for the runner: makes calls of the real loop and hands them to the function loop."""

    def __init__(self) -> None:
        self.real = asyncio.get_running_loop()
        self.settled: list[str] = []

    def start(self, work: Coroutine[Any, Any, T], *, write: bool = False) -> "asyncio.Future[T]":
        task = asyncio.Task(self.settling(work), loop=self.real)
        return inner().adopt(task, write=write)

    async def settling(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            result = await work
        except BaseException as error:
            self.settled.append(type(error).__name__)
            raise
        self.settled.append("done")
        return result


# --- what works inside


async def gathers() -> object:
    return await asyncio.gather(value(1), value(2), asyncio.sleep(0, 3))


async def groups() -> object:
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(value(1)), group.create_task(value(2))
    return [first.result(), second.result()]


async def fails_in_a_group() -> object:
    sibling_ended = list[bool]()

    async def sibling() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            sibling_ended.append(True)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            group.create_task(fails())
    except* KeyError:
        sibling_ended.append(False)
    return sibling_ended


async def has_time() -> object:
    async with asyncio.timeout(10):
        return await asyncio.wait_for(value(1), timeout=3)


async def times_out_at_once() -> object:
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    except TimeoutError:
        return "too late"


async def polls() -> object:
    done, pending = await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0)
    for task in pending:
        task.cancel()
    return len(done), len(pending)


async def locks() -> object:
    lock, order = asyncio.Lock(), list[int]()

    async def enters(number: int) -> None:
        async with lock:
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(enters(number) for number in range(3)))
    return order


async def passes_on() -> object:
    queue, ready = asyncio.Queue[int](maxsize=1), asyncio.Event()

    async def produces() -> None:
        await ready.wait()
        for number in range(3):
            await queue.put(number)

    producer = asyncio.create_task(produces())
    ready.set()
    got = [await queue.get() for _ in range(3)]
    await producer
    return got


async def generates() -> object:
    closed = list[str]()

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                await asyncio.sleep(0)
                yield number
        finally:
            closed.append("closed")

    got = [number async for number in numbers() if number < 2]
    async for _ in numbers():
        break
    gc.collect()
    return got, closed


async def names_its_task() -> object:
    task = asyncio.create_task(value(1), name="mine", context=contextvars.Context())
    return task.get_name(), await task, asyncio.current_task() is not None


async def starts_eagerly() -> object:
    create: Any = inner().create_task
    return await create(value(1), eager_start=True)


async def shields() -> object:
    return await asyncio.shield(value(1))


async def calls_back() -> object:
    loop, seen = asyncio.get_running_loop(), list[int]()
    loop.call_soon(seen.append, 1)
    loop.call_soon(seen.append, 2).cancel()
    loop.call_later(0, seen.append, 3)
    loop.call_later(1, seen.append, 4).cancel()
    await asyncio.sleep(0)
    return seen, loop.time()


WORKS: list[tuple[Callable[[], Coroutine[Any, Any, object]], object]] = [
    (gathers, [1, 2, 3]),
    (groups, [1, 2]),
    (fails_in_a_group, [True, False]),
    (has_time, 1),
    (times_out_at_once, "too late"),
    (polls, (0, 1)),
    (locks, [0, 1, 2]),
    (passes_on, [0, 1, 2]),
    (generates, ([0, 1], ["closed", "closed"])),
    (names_its_task, ("mine", 1, True)),
    (starts_eagerly, 1),
    (shields, 1),
    (calls_back, ([1, 3], 0.0)),
]


@pytest.mark.parametrize(("handler", "result"), WORKS, ids=lambda case: getattr(case, "__name__", ""))
def test_asyncio_works_inside(
    real: Runner[Any], handler: Callable[[], Coroutine[Any, Any, object]], result: object
) -> None:
    assert real(call(handler())) == result


def test_a_call_that_never_waits_runs_straight_through(real: Runner[Any]) -> None:
    async def main() -> None:
        turns = list[int]()
        asyncio.get_running_loop().call_soon(turns.append, 1)
        assert await call(gathers()) == [1, 2, 3]
        assert turns == []

    real(main())


def test_an_error_arrives_with_its_traceback() -> None:
    async def handler() -> None:
        await asyncio.gather(value(1), broken())

    async def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        plain(call(handler()))
    assert [entry.name for entry in caught.traceback][-2:] == ["handler", "broken"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the current task is one per loop")
def test_the_current_task_is_swapped_where_it_is_one_per_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    swap = getattr(asyncio.tasks, "_swap_current_task")  # noqa: B009  # not in the type stubs of 3.11
    monkeypatch.setattr(function_loop_module, "_swap_current_task", swap)
    assert plain(call(groups())) == [1, 2]


def test_an_eager_task_factory_works() -> None:
    factory = getattr(asyncio, "eager_task_factory", None)
    if factory is None:
        pytest.skip("from Python 3.12 on")

    async def handler() -> object:
        asyncio.get_running_loop().set_task_factory(factory)
        return await gathers()

    assert plain(call(handler())) == [1, 2, 3]


# --- what is refused


async def sleeps() -> None:
    await asyncio.sleep(1)  # HERE: asyncio.sleep()


async def sleeps_in_a_task() -> None:
    await asyncio.gather(value(1), sleeps())


async def waits_for_an_event() -> None:
    await asyncio.Event().wait()  # HERE: asyncio.Event.wait()


async def waits_for_a_future() -> None:
    await asyncio.get_running_loop().create_future()  # HERE: anything but `ctx`


async def waits_in_a_timeout() -> None:
    async with asyncio.timeout(0.001):
        await asyncio.sleep(1)  # HERE: asyncio.sleep()


@pytest.mark.parametrize(
    "handler", [sleeps, sleeps_in_a_task, waits_for_an_event, waits_for_a_future, waits_in_a_timeout]
)
def test_waiting_for_something_foreign_names_it_and_its_line(
    real: Runner[Any], handler: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    with pytest.raises(NotDeterministic) as caught:
        real(call(handler()))
    place = caught.value.place
    assert place is not None
    assert place.file == __file__
    _, _, what = source_line(place.line).partition("# HERE: ")
    assert str(caught.value) == f"Can't wait for {what} in queries and mutations. Please consider using an action."
    assert caught.value.code == "NotDeterministic"


def source_line(number: int) -> str:
    import linecache

    return linecache.getline(__file__, number).rstrip()


def test_finally_blocks_run_inside_the_call_when_it_is_stuck() -> None:
    ended = list[object]()

    async def handler() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            ended.append(current_function_loop())

    async def main() -> None:
        loop = FunctionLoop(1.0)
        with pytest.raises(NotDeterministic):
            await call(handler(), loop=loop)
        assert ended == [loop]

    plain(main())


def test_a_handler_that_swallows_the_cancellation_is_abandoned() -> None:
    async def handler() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    with pytest.raises(NotDeterministic):
        plain(call(handler()))


def test_futures_and_locks_of_the_real_loop_are_refused(real: Runner[Any]) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        lock = asyncio.Lock()
        await lock.acquire()
        contended = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0)

        async def waits() -> None:
            await future

        async def enters() -> None:
            await lock.acquire()

        for handler in (waits, enters):
            with pytest.raises(NotDeterministic, match="another event loop"):
                await call(handler())
        contended.cancel()

    real(main())


async def to_a_thread() -> None:
    await asyncio.to_thread(gc.collect)


async def connects() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def resolves() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)


async def starts_a_process() -> None:
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize(
    ("handler", "what"),
    [(to_a_thread, "threads"), (connects, "sockets"), (resolves, "sockets"), (starts_a_process, "processes")],
)
def test_the_loop_offers_no_way_out(handler: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
    with pytest.raises(NotInQueriesOrMutations) as caught:
        plain(call(handler()))
    assert str(caught.value) == f"Can't use {what} in queries and mutations. Please consider using an action."
    assert caught.value.code == "NotInQueriesOrMutations"


# --- how a function may not end


async def exits() -> None:
    sys.exit(3)


async def interrupts() -> None:
    raise KeyboardInterrupt


async def closes_itself() -> None:
    raise GeneratorExit


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def raises_a_cancellation() -> None:
    raise asyncio.CancelledError


async def exits_in_a_task() -> None:
    await asyncio.create_task(exits())


async def exits_in_a_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(0)
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (exits, "SystemExit (3)"),
        (interrupts, "KeyboardInterrupt"),
        (closes_itself, "GeneratorExit"),
        (cancels_itself, "CancelledError"),
        (raises_a_cancellation, "CancelledError"),
        (exits_in_a_task, "SystemExit (3)"),
        (exits_in_a_callback, "SystemExit (3)"),
    ],
)
def test_every_other_exit_becomes_an_error(
    real: Runner[Any], handler: Callable[[], Coroutine[Any, Any, None]], name: str
) -> None:
    with pytest.raises(FunctionExited) as caught:
        real(call(handler()))
    assert str(caught.value).startswith(f"The function ended with {name} instead of returning")


# --- outstanding calls of the real loop


def test_a_call_waits_for_the_store(real: Runner[Any]) -> None:
    async def handler(store: Store) -> object:
        first = await store.start(later(1))
        return first, await asyncio.gather(store.start(later(2)), store.start(later(3, turns=9)))

    async def main() -> object:
        return await call(handler(Store()))

    assert real(main()) == (1, [2, 3])


def test_a_finished_call_whose_result_is_on_its_way_is_waited_for(real: Runner[Any]) -> None:
    """A real task is done one turn before its callback: polling `done()` would blame the user here."""

    async def main() -> None:
        async def handler(call_of_the_store: "asyncio.Future[int]") -> int:
            return await inner().adopt(call_of_the_store)

        for _ in range(20):
            done = asyncio.ensure_future(value(1))
            await done
            assert await call(handler(done)) == 1

    real(main())


def test_a_failed_store_call_raises_where_it_is_awaited(real: Runner[Any]) -> None:
    async def handler(store: Store) -> str:
        try:
            await store.start(fails_later())
        except ValueError as error:
            return str(error)
        return "nothing"

    async def main() -> None:
        assert await call(handler(Store())) == "the store failed"

    real(main())


def test_a_forgotten_write_is_waited_for(real: Runner[Any]) -> None:
    async def handler(store: Store) -> int:
        store.start(later(1), write=True)
        return 7

    async def main() -> None:
        store = Store()
        assert await call(handler(store)) == 7
        assert store.settled == ["done"]

    real(main())


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_forgotten_write_that_fails_fails_the_call(cancelled: bool) -> None:
    async def handler(store: Store) -> None:
        twin = store.start(fails_later(), write=True)
        if cancelled:
            twin.cancel()

    async def main() -> None:
        with pytest.raises(ValueError, match="the store failed"):
            await call(handler(Store()))

    plain(main())


def test_a_failed_function_cancels_its_reads_and_waits_for_its_writes(real: Runner[Any]) -> None:
    async def handler(store: Store) -> None:
        store.start(later(1, turns=10**6))
        store.start(later(2, turns=20), write=True)
        await store.start(later(3))
        raise KeyError("x")

    async def main() -> None:
        store = Store()
        with pytest.raises(KeyError):
            await call(handler(store))
        assert store.settled == ["done", "CancelledError", "done"]

    real(main())


def test_interleaved_calls_keep_their_contexts(real: Runner[Any]) -> None:
    async def handler(store: Store, number: int) -> None:
        for turns in range(number % 4):
            log.get().append(number)
            await store.start(later(None, turns))
        log.get().append(number)

    async def one(store: Store, number: int) -> list[int]:
        lines = list[int]()
        context = contextvars.copy_context()
        context.run(log.set, lines)
        await FunctionLoop(5.0).run(handler(store, number), context=context)
        return lines

    async def main() -> None:
        store = Store()
        all_lines = await asyncio.gather(*(one(store, number) for number in range(200)))
        for number, lines in enumerate(all_lines):
            assert lines == [number] * (number % 4 + 1)

    real(main())


def test_a_long_call_gives_the_real_loop_a_turn(real: Runner[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def handler(turns: list[str]) -> None:
        assert inner().turn() is None
        monkeypatch.setattr(function_loop_module, "TURN_SECONDS", 0.0)
        turn = inner().turn()
        assert turn is not None
        turns.append("before")
        await turn
        turns.append("after")

    async def main() -> None:
        turns = list[str]()
        asyncio.get_running_loop().call_soon(turns.append, "real loop")
        await call(handler(turns))
        assert turns == ["before", "real loop", "after"]

    real(main())


# --- nested calls


def nested(main: Coroutine[Any, Any, T], **options: Any) -> "asyncio.Future[T]":
    return inner().spawn(main, context=contextvars.copy_context(), **options)


def test_a_nested_call_runs_to_its_end_before_its_caller_goes_on(real: Runner[Any]) -> None:
    order = list[str]()

    async def steps(name: str) -> str:
        for step in range(3):
            order.append(f"{name}{step}")
            await asyncio.sleep(0)
        return name

    async def calls(name: str) -> str:
        return await nested(steps(name))

    async def handler() -> list[str]:
        order.clear()
        return list(await asyncio.gather(calls("a"), steps("x"), calls("b")))

    assert real(call(handler())) == ["a", "x", "b"]
    assert order == ["a0", "a1", "a2", "x0", "b0", "b1", "b2", "x1", "x2"]


def test_nested_calls_on_a_slow_store_do_not_mix(real: Runner[Any]) -> None:
    async def writes(store: Store, name: str, order: list[str]) -> None:
        for step in range(2):
            await store.start(later(None))
            order.append(f"{name}{step}")

    async def handler(store: Store) -> list[str]:
        order = list[str]()
        await asyncio.gather(writes(store, "x", order), *(nested(writes(store, name, order)) for name in "ab"))
        return order

    async def main() -> None:
        assert await call(handler(Store())) == ["a0", "a1", "b0", "b1", "x0", "x1"]

    real(main())


def test_calls_nest_deeply() -> None:
    async def deeper(depth: int) -> int:
        return depth if depth == 900 else await nested(deeper(depth + 1))

    assert plain(call(deeper(0))) == 900


@pytest.mark.parametrize("handler", [exits, cancels_itself, fails_later])
def test_a_failed_nested_call_can_be_caught(handler: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def outer() -> str:
        try:
            await nested(handler())
        except Exception as error:
            return type(error).__name__
        return "nothing"

    assert plain(call(outer())) == ("ValueError" if handler is fails_later else "FunctionExited")


class Scope:
    """A sub-transaction, for the record."""

    def __init__(self, record: list[object]) -> None:
        self.record = record

    def __enter__(self) -> None:
        self.record.append("enter")

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self.record.append(error)


def test_the_scope_of_a_nested_call_is_around_all_it_started() -> None:
    record = list[object]()

    async def forgotten() -> None:
        await asyncio.sleep(0)
        record.append("forgotten")

    async def forgets() -> None:
        asyncio.create_task(forgotten())  # noqa: RUF006  # that is the point
        record.append("main")

    async def handler() -> None:
        await nested(forgets(), scope=Scope(record))
        record.append("outer")
        with suppress(ValueError):
            await nested(fails_later(), scope=Scope(record))

    plain(call(handler()))
    assert record[:6] == ["enter", "main", "forgotten", None, "outer", "enter"]
    assert isinstance(record[6], ValueError)


def test_a_forgotten_nested_call_runs_and_its_error_counts() -> None:
    ran = list[int]()

    async def child(number: int) -> None:
        await asyncio.sleep(0)
        ran.append(number)
        if number:
            raise ValueError("nobody saw this")

    async def handler(number: int) -> None:
        nested(child(number))

    plain(call(handler(0)))
    with pytest.raises(ValueError, match="nobody saw"):
        plain(call(handler(1)))
    assert ran == [0, 1]


def test_a_task_in_a_context_of_its_own_belongs_to_the_nested_call_that_made_it() -> None:
    async def child() -> int:
        return await asyncio.create_task(value(1), context=contextvars.Context())

    async def handler() -> int:
        return await nested(child())

    assert plain(call(handler())) == 1


# --- what a function leaves behind


def test_forgotten_tasks_run_on_and_are_cancelled_once_they_wait_for_nothing() -> None:
    record = list[str]()

    async def forgotten(store: Store) -> None:
        try:
            record.append(await store.start(later("read")))
            await asyncio.sleep(0)
            record.append("on")
            await asyncio.sleep(1)
        finally:
            record.append("ended")

    async def handler(store: Store) -> int:
        asyncio.create_task(forgotten(store))  # noqa: RUF006  # that is the point
        return 7

    async def main() -> None:
        assert await call(handler(Store())) == 7
        assert record == ["read", "on", "ended"]

    plain(main())


def test_the_error_of_a_forgotten_task_fails_the_call() -> None:
    async def handler() -> None:
        asyncio.create_task(fails_later())  # noqa: RUF006  # that is the point

    with pytest.raises(ValueError, match="the store failed"):
        plain(call(handler()))


def test_the_error_of_a_callback_fails_the_call() -> None:
    async def handler() -> None:
        asyncio.get_running_loop().call_soon(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        plain(call(handler()))


def test_errors_that_were_seen_do_not_count_again() -> None:
    async def handler() -> object:
        results = await asyncio.gather(fails_later(0), fails_later(1), return_exceptions=True)
        with suppress(ValueError):
            await asyncio.gather(fails_later(0), fails_later(1))
        with suppress(ValueError):
            await nested(fails_later())
        gc.collect()
        return len(results)

    assert plain(call(handler())) == 2


def test_a_failure_stops_everything_else_at_once() -> None:
    record = list[str]()

    async def other() -> None:
        try:
            while True:
                await asyncio.sleep(0)
        finally:
            record.append("stopped")

    async def handler() -> None:
        asyncio.create_task(other())  # noqa: RUF006  # that is the point
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        plain(call(handler()))
    assert record == ["stopped"]


def test_a_cancelled_caller_ends_the_call_inside(real: Runner[Any]) -> None:
    record = list[object]()

    async def handler(store: Store) -> None:
        try:
            await store.start(later(None, turns=10**6))
        finally:
            record.append(current_function_loop() is not None)

    async def main() -> None:
        store = Store()
        running = asyncio.ensure_future(call(handler(store)))
        await later(None)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert record == [True]
        assert store.settled == ["CancelledError"]

    real(main())


def test_a_write_survives_one_cancellation_of_the_caller_but_not_two() -> None:
    async def handler(store: Store) -> None:
        await store.start(later(None, turns=50), write=True)

    async def main(cancellations: int) -> list[str]:
        store = Store()
        running = asyncio.ensure_future(call(handler(store)))
        for _ in range(cancellations):
            await later(None)
            running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await later(None)
        return store.settled

    assert plain(main(1)) == ["done"]
    assert plain(main(2)) == ["CancelledError"]


def test_a_finished_call_is_freed_without_the_garbage_collector() -> None:
    async def handler() -> None:
        await asyncio.gather(value(1), nested(value(2)))

    async def main() -> None:
        loop = FunctionLoop(1.0)
        freed = weakref.ref(loop)
        await call(handler(), loop=loop)
        del loop
        assert freed() is None

    gc.collect()
    gc.disable()
    try:
        plain(main())
    finally:
        gc.enable()


# --- the time limit


async def spins() -> None:
    while True:
        pass


async def spins_in_a_task() -> None:
    await asyncio.gather(value(1), spins())


async def spins_nested() -> None:
    with suppress(Exception):
        await nested(spins())


async def spins_forever_over_awaits() -> None:
    while True:
        await asyncio.sleep(0)


async def swallows_and_awaits() -> None:
    while True:
        with suppress(BaseException):
            await spins()


async def spins_after_the_end() -> None:
    asyncio.create_task(spins())  # noqa: RUF006  # that is the point


@pytest.mark.parametrize(
    "handler",
    [spins, spins_in_a_task, spins_nested, spins_forever_over_awaits, swallows_and_awaits, spins_after_the_end],
)
def test_a_call_that_takes_too_long_is_ended(
    real: Runner[Any], handler: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    with pytest.raises(FunctionTimeout) as caught:
        real(call(handler(), seconds=0.03))
    assert str(caught.value) == "Function execution timed out (maximum duration: 0.03s)"
    assert caught.value.code == "FunctionTimeout"
    assert caught.value.bare


def test_a_timeout_shows_where_it_was() -> None:
    with pytest.raises(FunctionTimeout) as caught:
        plain(call(spins(), seconds=0.03))
    assert "spins" in [entry.name for entry in caught.traceback]


def test_last_words_are_limited_too() -> None:
    async def handler() -> None:
        try:
            await spins()
        finally:
            await spins()

    async def waits() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            await spins()

    over = False

    async def swallows_the_end() -> None:
        while not over:
            with suppress(BaseException):
                await asyncio.sleep(1)

    with pytest.raises(FunctionTimeout):
        plain(call(handler(), seconds=0.03))
    with pytest.raises(NotDeterministic):
        plain(call(waits()))
    with pytest.raises(NotDeterministic):
        plain(call(swallows_the_end()))
    over = True
    gc.collect()


def test_waiting_for_the_store_does_not_count() -> None:
    async def handler(store: Store, released: Awaitable[None]) -> int:
        async def waits() -> int:
            await released
            return 7

        return await store.start(waits())

    async def main() -> None:
        real_loop = asyncio.get_running_loop()
        released: asyncio.Future[None] = real_loop.create_future()
        real_loop.call_later(0.15, released.set_result, None)
        assert await call(handler(Store(), released), seconds=0.1) == 7

    plain(main())


def test_calls_that_time_out_leave_the_others_alone() -> None:
    async def handler(store: Store, slow: bool) -> str:
        await store.start(later(None))
        if slow:
            await spins()
        await store.start(later(None))
        return "done"

    async def main() -> None:
        store = Store()
        calls = [call(handler(store, slow=number % 5 == 0), seconds=0.02) for number in range(15)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(outcome, FunctionTimeout) for outcome in outcomes] == [n % 5 == 0 for n in range(15)]

    plain(main())


def test_errors_say_what_to_do() -> None:
    for handler in (sleeps, to_a_thread, spins):
        with pytest.raises(PyconvexError) as caught:
            plain(call(handler(), seconds=0.03))
        assert "action" in f"{caught.value} {caught.value.hint}"
