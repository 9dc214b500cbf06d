"""`Permits`: how many may be in progress at once, and who is next."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pyconvex.engine import permits as permits_module
from pyconvex.engine.permits import Permits, action_permits
from pyconvex.errors import RequestRefused


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


def permits_for(count: int, waiting_max: int = 9) -> Permits:
    return Permits(count, "too many", "fewer", waiting_max=waiting_max)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_there_are_as_many_places_as_were_asked_for() -> None:
    async def story() -> None:
        permits = permits_for(2)
        assert [permits.take() for _ in range(3)] == [True, True, False]
        permits.release()
        assert permits.take()
        assert not permits.take()

    run(story)


def test_a_place_goes_to_who_has_waited_longest_and_nobody_overtakes() -> None:
    async def story() -> None:
        permits = permits_for(1)
        assert permits.take()
        served: list[int] = []

        async def wait(number: int) -> None:
            await permits.acquire()
            served.append(number)

        waiting = [asyncio.ensure_future(wait(number)) for number in range(3)]
        await settle()
        for expected in ([0], [0, 1], [0, 1, 2]):
            permits.release()
            assert not permits.take()
            await settle()
            assert served == expected
        permits.release()
        assert permits.take()
        await asyncio.gather(*waiting)

    run(story)


@pytest.mark.parametrize("given_first", [True, False])
def test_a_place_is_not_lost_with_who_waited_for_it(given_first: bool) -> None:
    async def story() -> None:
        permits = permits_for(1)
        assert permits.take()
        gone = asyncio.ensure_future(permits.acquire())
        stays = asyncio.ensure_future(permits.acquire())
        await settle()
        steps = [permits.release, gone.cancel]
        for step in steps if given_first else reversed(steps):
            step()
        await settle()
        assert gone.cancelled()
        assert stays.done()
        permits.release()
        assert [permits.take(), permits.take()] == [True, False]

    run(story)


def test_who_has_waited_too_long_is_refused_and_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits_module, "ACTION_PATIENCE_SECONDS", 0.01)

    async def story() -> None:
        permits = action_permits(1)
        assert permits.take()
        with pytest.raises(RequestRefused) as refused:
            await permits.acquire()
        assert (refused.value.status, refused.value.code) == (429, "TooManyConcurrentRequests")
        permits.release()
        assert [permits.take(), permits.take()] == [True, False]

    run(story)


def test_only_so_many_may_wait_and_who_leaves_makes_room() -> None:
    async def story() -> None:
        permits = permits_for(1, waiting_max=2)
        assert permits.take()
        waiting = [asyncio.ensure_future(permits.acquire()) for _ in range(2)]
        await settle()
        with pytest.raises(RequestRefused, match="too many"):
            await permits.acquire()
        waiting[0].cancel()
        await settle()
        last = asyncio.ensure_future(permits.acquire())
        await settle()
        assert not last.done()
        for each in (waiting[1], last):
            permits.release()
            await each

    run(story)
