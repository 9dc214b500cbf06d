"""Time and chance as queries and mutations see them: the clock stands still, and randomness is the call's own.

User modules get these modules instead of Python's `time`, `datetime`, `random`, `uuid`, `secrets` and `os`, whichever
way they import them. In actions, and while modules are loaded, they do what Python's do. Nothing is changed for the
rest of the process.
https://docs.convex.dev/functions/runtimes#restrictions-on-queries-and-mutations
"""

from __future__ import annotations

import datetime as real_datetime
import os as real_os
import random as real_random
import secrets as real_secrets
import time as real_time
import uuid as real_uuid
from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any, Final, Self, TypeVar, cast

from pyconvex.engine.driver.guard import NotInQueriesOrMutations
from pyconvex.engine.driver.variants import findable, variant
from pyconvex.engine.execution import Execution, current
from pyconvex.functions.fetch.blob import take_time_from
from pyconvex.functions.fetch.form_data import take_chance_from
from pyconvex.functions.webhooks.verification import take_arrival_from

T = TypeVar("T")

_SECRET: Final = "cryptographic randomness"


def _transaction() -> Execution | None:
    """The query or mutation that runs now, if one does."""
    execution = current.get()
    return execution if execution is not None and execution.is_transaction else None


def _now() -> float | None:
    """Seconds since 1970 at the start of the running query or mutation; None outside of one."""
    execution = _transaction()
    if execution is None:
        return None
    execution.root.time_read = True
    return execution.started_ms / 1000


def _instead(original: Callable[..., Any], frozen: Callable[..., Any]) -> Callable[..., Any]:
    """`original`, but in a query or mutation `frozen`."""

    @wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        return (original if _transaction() is None else frozen)(*args, **kwargs)

    return function


def _refused(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise NotInQueriesOrMutations(what)

    return _instead(original, refuse)


# --- time


def _seconds() -> float:
    now = _now()
    assert now is not None, "called within a query or mutation"
    return now


def _of_now(original: Callable[..., Any]) -> Callable[..., Any]:
    """`gmtime`, `localtime` and `ctime`: of the given seconds, else of now."""

    def frozen(seconds: float | None = None) -> Any:
        return original(_seconds() if seconds is None else seconds)

    return _instead(original, frozen)


def _formatted(format: str, moment: Any = None) -> str:
    return real_time.strftime(format, real_time.localtime(_seconds()) if moment is None else moment)


def _still_time() -> ModuleType:
    seconds = dict.fromkeys(("time", "monotonic", "perf_counter", "process_time", "thread_time"), _seconds)
    nanoseconds = {f"{name}_ns": lambda: int(_seconds() * 1_000_000) * 1000 for name in seconds}
    clocks = {
        name: _instead(getattr(real_time, name), frozen)
        for name, frozen in {**seconds, **nanoseconds}.items()
        if hasattr(real_time, name)
    }
    moments = {name: _of_now(getattr(real_time, name)) for name in ("gmtime", "localtime", "ctime")}
    strftime = _instead(real_time.strftime, _formatted)
    return variant(real_time, **clocks, **moments, strftime=strftime, sleep=_refused(real_time.sleep, "time.sleep()"))


# --- datetime


class _StandIn(type):
    """A class whose instances are those of the class it stands for: `isinstance` and `issubclass` say so."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _STANDS_FOR[cls]) if cls in _STANDS_FOR else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _STANDS_FOR[cls]) if cls in _STANDS_FOR else super().__subclasscheck__(subclass)


_STANDS_FOR: dict[object, type] = {}


def _standing_for(original: type) -> Callable[[type[T]], type[T]]:
    def named(stand_in: type[T]) -> type[T]:
        stand_in.__name__ = stand_in.__qualname__ = original.__name__
        stand_in.__module__ = original.__module__
        _STANDS_FOR[stand_in] = original
        return stand_in

    return named


@_standing_for(real_datetime.date)
class _Date(real_datetime.date, metaclass=_StandIn):
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return real_datetime.date.__new__(cast("type[Self]", _STANDS_FOR.get(cls, cls)), *args, **kwargs)

    @classmethod
    def today(cls) -> Self:
        now = _now()
        return super().today() if now is None else cls.fromtimestamp(now)


@_standing_for(real_datetime.datetime)
class _DateTime(real_datetime.datetime, metaclass=_StandIn):
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        return real_datetime.datetime.__new__(cast("type[Self]", _STANDS_FOR.get(cls, cls)), *args, **kwargs)

    @classmethod
    def now(cls, tz: real_datetime.tzinfo | None = None) -> Self:
        now = _now()
        return super().now(tz) if now is None else cls.fromtimestamp(now, tz)

    @classmethod
    def today(cls) -> Self:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Self:
        return cls.now(real_datetime.UTC).replace(tzinfo=None)


# --- chance


def _chance() -> real_random.Random:
    """The random numbers of the running query or mutation."""
    execution = _transaction()
    assert execution is not None, "called within a query or mutation"
    return execution.random


class _Random(real_random.Random):
    """`random.Random`, whose default seed is the call's own."""

    def __init__(self, x: Any = None) -> None:
        super().__init__(self._seed(x))

    def seed(self, a: Any = None, version: int = 2) -> None:
        super().seed(self._seed(a), version)

    def _seed(self, given: Any) -> Any:
        return _chance().getrandbits(128) if given is None and _transaction() is not None else given


def _seeded_random() -> ModuleType:
    shared = {
        name: _instead(function, _drawing(name))
        for name in real_random.__all__
        if callable(function := getattr(real_random, name)) and not isinstance(function, type)
    }
    system = _refused(real_random.SystemRandom, _SECRET)
    return variant(real_random, **shared, Random=_Random, SystemRandom=system)


def _drawing(name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: getattr(_chance(), name)(*args, **kwargs)


def _uuid4() -> real_uuid.UUID:
    return real_uuid.UUID(int=_chance().getrandbits(128), version=4)


def _refused_uuids() -> dict[str, Callable[..., Any]]:
    names = (name for name in ("uuid1", "uuid6", "uuid7", "uuid8") if hasattr(real_uuid, name))
    return {name: _refused(getattr(real_uuid, name), f"uuid.{name}()") for name in names}


def _random_bytes(count: int) -> bytes:
    return _chance().randbytes(count)


def _all_refused(module: ModuleType) -> ModuleType:
    functions = {name: getattr(module, name) for name in module.__all__ if name != "compare_digest"}
    return variant(module, **{name: _refused(function, _SECRET) for name, function in functions.items()})


def _chance_of_the_system() -> dict[str, Callable[..., Any]]:
    names = (name for name in ("urandom", "getrandom") if hasattr(real_os, name))
    return {name: _refused(getattr(real_os, name), _SECRET) for name in names}


SUBSTITUTES: Final[Mapping[str, ModuleType]] = findable(
    {
        "time": _still_time(),
        "datetime": variant(real_datetime, date=_Date, datetime=_DateTime),
        "random": _seeded_random(),
        "uuid": variant(real_uuid, uuid4=_instead(real_uuid.uuid4, _uuid4), **_refused_uuids()),
        "secrets": _all_refused(real_secrets),
        "os": variant(real_os, **_chance_of_the_system()),
    }
)
"""What the loader hands to user modules, by the name that they import."""


def _arrived_ms() -> float:
    """When the request that is being handled arrived, in milliseconds since 1970; now outside of functions."""
    execution = current.get()
    if execution is None:
        return real_time.time() * 1000
    arrived = execution.call.arrived_ms
    return execution.started_ms if arrived is None else arrived


take_time_from(SUBSTITUTES["time"].time)
take_chance_from(_instead(real_os.urandom, _random_bytes))
take_arrival_from(_arrived_ms)
