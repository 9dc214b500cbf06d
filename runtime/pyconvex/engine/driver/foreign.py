"""What a query or mutation may not wait for, and how a function may not end; said with the user's own line."""

import asyncio
import inspect
from collections.abc import Iterable, Iterator
from types import FrameType

from pyconvex.engine.driver import guard
from pyconvex.errors import BareError, DeveloperError, Place


class NotDeterministic(BareError):
    """A query or mutation awaits something that `ctx` does not offer: a timer, a socket, another task's lock."""

    def __init__(self, what: str, place: Place | None = None) -> None:
        super().__init__(
            "NotDeterministic",
            f"Can't wait for {what} in queries and mutations. Please consider using an action.",
            hint="queries and mutations can only await what `ctx` offers",
            place=place,
        )


class FunctionExited(DeveloperError):
    """A function ended by `sys.exit()`, a cancellation of itself or the like, instead of returning or raising."""

    def __init__(self, how: BaseException) -> None:
        detail = f" ({how})" if str(how) else ""
        super().__init__(
            "FunctionExited",
            f"The function ended with {type(how).__name__}{detail} instead of returning or raising an error",
            hint="return a value or raise an error",
        )


def surface(error: BaseException) -> Exception:
    """The error that a caller may see for what ended a function: itself, or a DeveloperError in its stead.

    Nothing but an `Exception` leaves a function: a SystemExit would stop the server.
    """
    if not isinstance(error, Exception):
        return _in_stead(FunctionExited(error), error)
    if type(error) is RuntimeError and _is_of_another_loop(str(error)):
        return _in_stead(NotDeterministic("what belongs to another event loop"), error)
    return error


def stuck(tasks: Iterable["asyncio.Task[object]"]) -> NotDeterministic:
    """The error for a call in which `tasks` all wait for something that will never come."""
    what, place = None, None
    for task in tasks:
        frames = list(_awaiting(task.get_coro()))
        mine = max((index for index, frame in enumerate(frames) if _is_users(frame)), default=-1)
        if what is None:
            what = _name(frames[mine + 1]) if mine + 1 < len(frames) else None
        if mine >= 0:
            place = Place(frames[mine].f_code.co_filename, frames[mine].f_lineno)
            break
    return NotDeterministic(what or "anything but `ctx`", place)


def _in_stead(error: DeveloperError, of: BaseException) -> DeveloperError:
    error.__cause__ = of
    return error.with_traceback(of.__traceback__)


def _is_of_another_loop(message: str) -> bool:
    """The two texts with which asyncio refuses a future, or a lock, of another loop."""
    return "attached to a different loop" in message or "is bound to a different event loop" in message


def _awaiting(awaited: object) -> Iterator[FrameType]:
    """The suspended frames of a coroutine and of what it awaits, outermost first."""
    while True:
        if inspect.iscoroutine(awaited):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif inspect.isgenerator(awaited):
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        else:
            return
        if frame is not None:
            yield frame


def _is_users(frame: FrameType) -> bool:
    return not guard.is_library(frame.f_code.co_filename)


def _name(frame: FrameType) -> str:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return f"{package}.{frame.f_code.co_qualname}()".lstrip(".")
