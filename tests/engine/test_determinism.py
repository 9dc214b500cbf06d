"""Time and chance in queries and mutations, against what the same code gets in an action."""

import asyncio
from pathlib import Path

import pytest

from pyconvex.clock import ManualClock
from support.deployment import deployment

MODULE = """
import builtins
import datetime
import importlib
import os
import random
import secrets
import sys
import time
import uuid
from datetime import date, datetime as DateTime
from random import Random, choice
from time import time as now
from pyconvex.server import File, FormData, Response

LOADED_AT = time.time()

def imported_late():
    import time
    from datetime import datetime
    return time.time() + datetime.now().timestamp()

def boundary():
    form = FormData()
    form.append("a", "b")
    return Response(form).headers["content-type"]

READS = {
    "time.time": lambda: time.time(),
    "from time": lambda: now(),
    "time_ns": lambda: time.time_ns() / 1e9,
    "monotonic": lambda: time.monotonic(),
    "datetime.now": lambda: datetime.datetime.now().timestamp(),
    "datetime.now(UTC)": lambda: DateTime.now(datetime.UTC).timestamp(),
    "utcnow": lambda: DateTime.utcnow().replace(tzinfo=datetime.UTC).timestamp(),
    "ctime": lambda: time.ctime(),
    "days": lambda: [str(each.today())[:10] for each in (date, DateTime, datetime.date, datetime.datetime)],
    "File": lambda: File([], "a.txt").last_modified / 1000,
    "in a handler": imported_late,
    "import_module": lambda: importlib.import_module("time").time(),
    "__import__": lambda: __import__("time").time(),
    "sys.modules": lambda: sys.modules["time"].time(),
    "builtins.__import__": lambda: builtins.__import__("datetime").datetime.now().timestamp(),
    "importlib.__import__": lambda: importlib.__import__("time").time(),
    "random": lambda: random.random(),
    "choice": lambda: choice(range(10**9)),
    "Random()": lambda: Random().random(),
    "uuid4": lambda: str(uuid.uuid4()),
    "boundary": boundary,
    "import_module('random')": lambda: importlib.import_module("random").random(),
    "secrets": lambda: secrets.token_hex(),
    "import_module('secrets')": lambda: importlib.import_module("secrets").token_hex(),
    "urandom": lambda: os.urandom(4),
    "SystemRandom": lambda: random.SystemRandom().random(),
    "uuid1": lambda: str(uuid.uuid1()),
    "sleep": lambda: time.sleep(0.0001),
}

@query
async def read(ctx, what: str):
    values = [READS[what](), READS[what]()]
    sum(range(200_000))
    return [*values, READS[what]()]

@action
async def read_live(ctx, what: str):
    first = READS[what]()
    await asyncio.sleep(0.002)
    return [first, READS[what]()]

@query
async def types(ctx):
    moment, day = DateTime.now(), date.today()
    return [
        isinstance(moment, DateTime), isinstance(day, date), isinstance(moment, date), isinstance(day, DateTime),
        type(moment) is type(DateTime(2020, 1, 1)), repr(DateTime(2020, 1, 1)),
        str(DateTime.fromisoformat("2020-01-02") - DateTime(2020, 1, 1)), issubclass(DateTime, date),
        DateTime.strptime("2020", "%Y").year, uuid.UUID(int=0).version is None,
    ]

@query
async def nested(ctx):
    return [random.random(), await ctx.run_query("m:own"), await ctx.run_query("m:own"), time.time()]

@query
async def own(ctx):
    return [random.random(), time.time()]

@query
async def seeded(ctx):
    random.seed(7)
    return [random.random(), importlib.import_module("random").random(), boundary()]
"""

CLOCKS = [
    "time.time",
    "from time",
    "time_ns",
    "monotonic",
    "datetime.now",
    "datetime.now(UTC)",
    "utcnow",
    "ctime",
    "File",
    "in a handler",
    "import_module",
    "__import__",
    "sys.modules",
    "builtins.__import__",
    "importlib.__import__",
]


@pytest.mark.parametrize("what", CLOCKS)
def test_the_clock_stands_still_in_a_query(tmp_path: Path, what: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            assert len(set(await t.value("read", what=what))) == 1
            if what != "ctime":
                assert len(set(await t.value("read_live", what=what))) == 2

    asyncio.run(test())


@pytest.mark.parametrize("what", ["time.time", "datetime.now", "utcnow"])
def test_it_stands_at_the_start_of_the_call(tmp_path: Path, what: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            [seen, *_] = await t.value("read", what=what)
            assert seen == pytest.approx(t.completions[-1].execution_timestamp, abs=1e-5)

    asyncio.run(test())


def test_today_is_the_day_of_the_call(tmp_path: Path) -> None:
    async def test() -> None:
        noon = ManualClock(1_577_880_000_000)
        async with deployment(tmp_path, MODULE, clock=noon) as t:
            assert await t.value("read", what="days") == [["2020-01-01"] * 4] * 3
            assert "2020" not in str(await t.value("read_live", what="days"))

    asyncio.run(test())


@pytest.mark.parametrize("what", ["random", "choice", "Random()", "uuid4", "boundary", "import_module('random')"])
def test_randomness_is_the_calls_own(tmp_path: Path, what: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            first, second = await t.value("read", what=what), await t.value("read", what=what)
            assert len({*first, *second}) == 6

    asyncio.run(test())


@pytest.mark.parametrize("what", ["secrets", "urandom", "SystemRandom", "import_module('secrets')"])
def test_cryptographic_randomness_says_to_use_an_action(tmp_path: Path, what: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            assert "Can't use cryptographic randomness in queries and mutations." in await t.error("read", what=what)
            assert len(await t.value("read_live", what=what)) == 2

    asyncio.run(test())


def test_sleeping_is_for_actions(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            assert "Can't use time.sleep() in queries and mutations." in await t.error("read", what="sleep")
            await t.value("read_live", what="sleep")

    asyncio.run(test())


def test_the_classes_behave_like_pythons(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            assert await t.value("types") == [
                True, True, True, False, True,
                "datetime.datetime(2020, 1, 1, 0, 0)", "1 day, 0:00:00", True, 2020, True,
            ]  # fmt: skip

    asyncio.run(test())


def test_a_nested_query_has_the_callers_time_and_numbers_of_its_own(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            outer, [first, first_time], [second, second_time], time = await t.value("nested")
            assert len({outer, first, second}) == 3
            assert first_time == second_time == time

    asyncio.run(test())


def test_a_seed_gives_the_same_numbers_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, MODULE) as t:
            assert await t.value("seeded") == await t.value("seeded")

    asyncio.run(test())
