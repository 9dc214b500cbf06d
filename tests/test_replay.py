"""Time, chance and ids come through `clock.py`: the same seed gives the same deployment again, byte for byte."""

import ast
import asyncio
from collections.abc import Generator
from pathlib import Path
from random import Random

import msgspec
import pytest

import pyconvex
from pyconvex.clock import SystemClock, request_id
from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.logs.logs import LogEntry
from pyconvex.host import Host, HostOptions
from support.served import write_modules

SOURCE = """
from pyconvex.server import Blob
from ._generated.api import api
from ._generated.server import action, mutation, query
import random
import time
import uuid

@mutation
async def add(ctx, name: str):
    id = await ctx.db.insert("people", {"name": name, "luck": random.random(), "key": str(uuid.uuid4())})
    await ctx.run_mutation(api.m.inner, of=id)
    print("added", id, time.time())
    return await ctx.db.get(id)

@mutation
async def inner(ctx, of: str):
    await ctx.db.insert("shadows", {"of": of, "luck": random.random()})

@mutation
async def fails(ctx):
    await ctx.db.insert("people", {"name": "nobody"})
    raise ValueError(str(random.random()))

@query
async def everything(ctx):
    found = [await ctx.db.query(table).collect() for table in ("people", "shadows")]
    return [found, time.time(), random.random()]

@action
async def acts(ctx):
    stored = await ctx.storage.store(Blob(["hello"], type="text/plain"))
    await ctx.run_mutation(add, name="from an action")
    return [stored, await ctx.storage.get_url(stored), await ctx.storage.get_metadata(stored)]
"""


CALLS: list[tuple[str, dict[str, object]]] = [("add", {"name": "Ada"}), ("fails", {}), ("acts", {}), ("everything", {})]


class SeededClock(SystemClock):
    """Time that moves by the same small step whenever somebody asks for it, and chance from a seed.

    Stopwatches do not move it: how often one is looked at while a batch is on the disk is the disk's affair.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._now_ns = 1_767_225_600_000_000_000 + seed * 1_000_000_000

    def now_ns(self) -> int:
        self._now_ns += 7_000
        return self._now_ns

    def now_ms(self) -> float:
        return self.now_ns() / 1_000_000

    def monotonic(self) -> float:
        return self._now_ns / 1_000_000_000

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


def history(project: Path, seed: int) -> list[object]:
    """All that a new deployment answered, kept and logged."""
    clock = SeededClock(seed)
    entries: list[LogEntry] = []

    async def lived() -> list[object]:
        async with Host.open(HostOptions(project=project, clock=clock)) as host:
            host.logs.subscribe(entries.append)
            await host.reload()
            call = Call(Caller.TESTER, ANONYMOUS, request_id(clock))
            answers: list[object] = []
            for name, args in CALLS:
                outcome = await host.runner.call(f"m:{name}", args, call)
                error = outcome.failure and outcome.failure.text
                answers.append((outcome.value, error, outcome.ts, outcome.log_lines))
            files = sorted(path.name for path in (project / ".pyconvex" / "files").rglob("*") if path.is_file())
            return [host.admin_key, answers, files, [msgspec.json.encode(entry) for entry in entries]]

    write_modules(project, {"m": SOURCE})
    return asyncio.run(lived())


def test_a_seed_replays_a_whole_deployment(tmp_path: Path) -> None:
    first, again, other = (history(tmp_path / place / "app", seed) for place, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


SOURCES_OF_CHANCE = {
    "time": {"time", "time_ns"},
    "datetime": {"now", "utcnow", "today"},
    "os": {"urandom", "getrandom"},
    "uuid": {"uuid1", "uuid4"},
    "random": {"random", "randint", "uniform", "randbytes", "getrandbits", "choice", "SystemRandom"},
    "secrets": {"token_bytes", "token_hex", "token_urlsafe", "choice", "randbelow", "SystemRandom"},
}
ALLOWED = {
    "clock.py": "here they come in",
    "loading/folder.py": "compared with the times that the file system keeps",
    "host/server.py": "the header `date`",
    "functions/fetch/form_data.py": "a boundary, which is in no document and in no log",
}


def test_nothing_else_asks_the_machine() -> None:
    root = Path(pyconvex.__file__).parent
    found = {
        path.relative_to(root).as_posix(): sorted(set(_asked(ast.parse(path.read_text()))))
        for path in sorted(root.rglob("*.py"))
    }
    assert {name: asked for name, asked in found.items() if asked and name not in ALLOWED} == {}


def _asked(module: ast.Module) -> Generator[str]:
    """Calls that ask the machine for the time or for chance."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module in SOURCES_OF_CHANCE
        for alias in node.names
    }
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        name = imported.get(name, name)
        owner, _, method = name.rpartition(".")
        module_name = "datetime" if owner in ("datetime.datetime", "datetime.date", "date") else owner
        if method in SOURCES_OF_CHANCE.get(module_name, ()):
            yield name


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        ("import time\ntime.time()", ["time.time"]),
        ("from uuid import uuid4\nuuid4()", ["uuid.uuid4"]),
        ("import datetime\ndatetime.datetime.now()", ["datetime.datetime.now"]),
        ("import time\ntime.perf_counter()", []),
        ("clock.now_ms()", []),
    ],
)
def test_the_search_finds_what_it_looks_for(source: str, asked: list[str]) -> None:
    assert list(_asked(ast.parse(source))) == asked
