"""Databases that cannot be read for a while: old results stay, and new ones come as soon as they can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from pyconvex.engine.execution import Execution
from pyconvex.engine.live import queries as live_queries
from pyconvex.store.keys import KeyRange
from pyconvex.store.persistence import Row, StoreFailed
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.live import live, quiet, until

MODULE = """
@mutation
async def send(ctx, body: str):
    await ctx.db.insert("messages", {"body": body})

@query
async def texts(ctx):
    return [message["body"] for message in await ctx.db.query("messages").collect()]

@query
async def patient(ctx):
    try:
        return len(await ctx.db.query("messages").collect())
    except Exception:
        return "swallowed"

@query
async def echo(ctx, n: float):
    return n
"""


class Weak(SqlitePersistence):
    """A database whose connections break, or that cannot be reached at all, when the test wants it."""

    def __init__(self) -> None:
        super().__init__(None)
        self.away = False
        self.breaking = 0
        """How many of the next snapshots lose their connection with their first scan."""

    def snapshot(self) -> Any:
        if self.away:
            raise StoreFailed("DatabaseUnreachable", "the test says so")
        return _Snapshot(self, super().snapshot())


class _Snapshot:
    def __init__(self, database: Weak, snapshot: AbstractAsyncContextManager[Any]) -> None:
        self._database = database
        self._snapshot = snapshot

    async def __aenter__(self) -> _Reader:
        return _Reader(self._database, await self._snapshot.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._snapshot.__aexit__(kind, error, trace)


class _Reader:
    def __init__(self, database: Weak, reader: Any) -> None:
        self.lost = False
        self._database = database
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def scan(self, span: KeyRange, **options: Any) -> Awaitable[Sequence[Row]]:
        if self._database.breaking:
            self._database.breaking -= 1
            self.lost = True
        if self.lost:
            raise StoreFailed("DatabaseUnreachable", "the connection was lost")
        return self._reader.scan(span, **options)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits as the engine does, only shorter."""
    monkeypatch.setattr(live_queries, "RETRY_SECONDS", 0.005)
    monkeypatch.setattr(live_queries, "RETRY_SECONDS_MAX", 0.02)


def test_a_database_that_is_away_for_a_while(tmp_path: Path) -> None:
    async def story() -> None:
        database = Weak()
        async with live(tmp_path, MODULE, persistence=database) as it:
            session, new = it.watcher("texts"), it.watcher("echo", n=1.0)
            await session.view()
            database.away = True
            await it.value("send", body="a")
            new.subscriptions.refresh()
            await quiet()
            assert (len(session.views), len(new.views)) == (1, 0)
            database.away = False
            await session.shows(0, ["a"])
            await new.shows(0, 1.0)
            assert it.runs("texts") == 2

    asyncio.run(story())


def test_what_is_known_is_shown_without_the_database(tmp_path: Path) -> None:
    async def story() -> None:
        database = Weak()
        async with live(tmp_path, MODULE, persistence=database) as it:
            first, second = it.watcher("texts"), it.watcher("texts")
            await first.view()
            database.away = True
            await second.view()
            assert second.value() == []

    asyncio.run(story())


@pytest.mark.parametrize("times", [1, 5])
def test_a_connection_that_breaks(times: int, tmp_path: Path) -> None:
    """Even what the function has made of the error does not count."""

    async def story() -> None:
        database = Weak()
        async with live(tmp_path, MODULE, persistence=database) as it:
            session, other = it.watcher("patient"), it.watcher("texts")
            await session.view()
            await other.view()
            database.breaking = times
            await it.value("send", body="a")
            await session.shows(0, 1.0)
            await other.shows(0, ["a"])
            assert [view.results[0].ok for view in (*session.views, *other.views)] == [True] * 4
            assert [session.views[0].results[0].tail[:11], len(session.views)] == [b',"value":0.', 2]

    asyncio.run(story())


def test_a_query_that_pyconvex_fails_at_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        from pyconvex.engine import actions

        run_query, broken = actions.run_query, True

        async def weak(execution: Execution, *given: Any) -> Any:
            if broken and execution.identifier == "m:texts":
                raise ZeroDivisionError
            return await run_query(execution, *given)

        monkeypatch.setattr(actions, "run_query", weak)
        async with live(tmp_path, MODULE) as it:
            session, bad = it.watcher("echo", n=1.0), it.watcher("echo", n=2.0)
            bad.ask(1, "texts")
            bad.subscriptions.refresh()
            await session.view()
            assert not bad.views, "it is tried again before anybody hears of it"
            await until(lambda: bool(bad.views))
            assert bad.value(0) == 2.0
            assert bad.error(1) == "Your request couldn't be completed. Try again later."
            broken = False
            await bad.shows(1, [])

    asyncio.run(story())
