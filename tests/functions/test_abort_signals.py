"""`AbortSignal`: looked at, waited for, listened to."""

import asyncio

import pytest

from pyconvex.server import AbortError, AbortSignal, Request


def test_before_and_after() -> None:
    signal = AbortSignal()
    assert (signal.aborted, signal.reason) == (False, None)
    signal.throw_if_aborted()
    signal.abort()
    assert signal.aborted
    assert isinstance(signal.reason, AbortError)
    assert signal.reason is signal.reason
    with pytest.raises(AbortError, match="This operation was aborted"):
        signal.throw_if_aborted()


def test_the_first_reason_counts() -> None:
    signal = AbortSignal()
    reason = TimeoutError("too slow")
    signal.abort(reason)
    signal.abort(ValueError("later"))
    assert signal.reason is reason
    with pytest.raises(TimeoutError, match="too slow"):
        signal.throw_if_aborted()


def test_listeners_are_called_once_in_order() -> None:
    signal = AbortSignal()
    called: list[str] = []
    signal.add_listener(lambda: called.append("a"))
    remove = signal.add_listener(lambda: called.append("removed"))
    signal.add_listener(lambda: called.append(f"b {signal.aborted}"))
    remove()
    remove()
    signal.abort()
    signal.abort()
    assert called == ["a", "b True"]
    signal.add_listener(lambda: called.append("late"))()
    assert called == ["a", "b True", "late"]


def test_a_listener_that_fails_keeps_no_other_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    signal = AbortSignal()
    called: list[str] = []

    def failing() -> None:
        raise LookupError("gone")

    signal.add_listener(failing)
    signal.add_listener(lambda: called.append("second"))
    signal.abort()
    assert called == ["second"]
    assert "LookupError: gone" in caplog.text


def test_waiting() -> None:
    async def scenario() -> None:
        signal = AbortSignal()
        waiting = [asyncio.ensure_future(signal.wait()) for _ in range(2)]
        given_up = asyncio.ensure_future(signal.wait())
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)
        signal.abort()
        await asyncio.gather(*waiting)
        await signal.wait()

    asyncio.run(scenario())


def test_a_request_made_of_another_has_its_signal() -> None:
    signal = AbortSignal()
    request = Request("http://h/", signal=signal)
    assert request.signal is request.clone().signal is Request(request).signal is signal
    assert Request(request, signal=AbortSignal()).signal is not signal
