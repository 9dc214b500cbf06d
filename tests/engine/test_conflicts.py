"""Mutations that meet others: they run again, each attempt is in the log, and the last error names what they met."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from pyconvex.engine.conflicts import MutationConflict
from pyconvex.engine.files.upload_urls import check_upload
from pyconvex.engine.logs.logs import Completion
from pyconvex.errors import RequestRefused
from pyconvex.store.keys import Changes, IndexKey
from pyconvex.store.persistence import Committed, Conflict, Reader, Work
from pyconvex.store.sqlite.persistence import SqlitePersistence
from support.deployment import Deployment, deployment

T = TypeVar("T")

RETRIES = 4
MODULE = """
import random

@mutation
async def send(ctx, body: str, tags: list[str]):
    print("sending", body, tags)
    tags.append("seen")
    await ctx.db.query("messages").collect()
    await ctx.db.insert("messages", {"body": body})
    return random.random()

@query
async def count(ctx):
    return len(await ctx.db.query("messages").collect())

@action
async def send_and_see(ctx):
    try:
        await ctx.run_mutation(api.m.send, body="x", tags=[])
    except Exception as error:
        return str(error)

@action
async def send_blindly(ctx):
    await ctx.run_mutation(api.m.send, body="x", tags=[])
"""


STORING = """
attempts = []

@action
async def store(ctx):
    return await ctx.storage.store(Blob(["hello"]))

@mutation
async def delete_at_first(ctx, id: str):
    attempts.append(id)
    if len(attempts) == 1:
        await ctx.storage.delete(id)

@action
async def text(ctx, id: str):
    return await (await ctx.storage.get(id)).text()

@mutation
async def upload_url(ctx):
    attempts.append(await ctx.storage.generate_upload_url())
    return attempts
"""


class Lost(Exception):
    """Undoes an attempt."""


class Told:
    """A reader of an attempt that others had sent back before."""

    def __init__(self, reader: Reader, conflict: Conflict | None) -> None:
        self.conflict = conflict
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


class Contended(SqlitePersistence):
    """Stands in for an engine on which mutations meet others: as often as there are conflicts in `coming`."""

    def __init__(self) -> None:
        super().__init__(None)
        self.coming: list[Conflict] = []
        self.labels: list[str] = []

    def transact(self, work: Work[T], *, patient: bool = False) -> Coroutine[Any, Any, Committed[T]]:
        return self._tried(work)

    async def _tried(self, work: Work[T]) -> Committed[T]:
        conflict = None
        for attempt in range(RETRIES + 1):
            if not self.coming:
                break
            following = self.coming.pop(0)
            with pytest.raises(Lost):
                await super().transact(self._attempt(work, conflict, fail=True))
            if attempt == RETRIES:
                raise following
            conflict = following
        return await super().transact(self._attempt(work, conflict, fail=False))

    def _attempt(self, work: Work[T], conflict: Conflict | None, *, fail: bool) -> Work[T]:
        async def attempt(reader: Reader) -> tuple[T, Changes]:
            value, changes = await work(cast("Reader", Told(reader, conflict)))
            self.labels.append(changes.label)
            if fail:
                raise Lost
            return value, changes

        return attempt


def check(tmp_path: Path, test: Callable[[Deployment, Contended], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = Contended()
        async with deployment(tmp_path, MODULE, persistence=engine) as t:
            await t.value("send", body="first", tags=[])
            t.entries.clear()
            engine.labels.clear()
            await test(t, engine)

    asyncio.run(run())


def test_a_file_stays_that_only_a_lost_attempt_has_deleted(tmp_path: Path) -> None:
    async def run() -> None:
        engine = Contended()
        async with deployment(tmp_path, STORING, persistence=engine) as t:
            file = await t.value("store")
            engine.coming = [Conflict()]
            await t.value("delete_at_first", id=file)
            await t.runner.services.removals.settled()
            assert await t.value("text", id=file) == "hello"

    asyncio.run(run())


def test_the_upload_urls_of_earlier_attempts_are_worth_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        engine = Contended()
        async with deployment(tmp_path, STORING, persistence=engine) as t:
            engine.coming = [Conflict(), Conflict()]
            *before, last = [url.partition("?token=")[2] for url in await t.value("upload_url")]
            await check_upload(t.runner.services, last)
            assert len(before) == 2
            for token in before:
                with pytest.raises(RequestRefused, match="not valid"):
                    await check_upload(t.runner.services, token)

    asyncio.run(run())


def conflict(t: Deployment, document: str | None = "j57e4", by: str = "") -> Conflict:
    table = t.store.catalog.table("messages")
    assert table is not None
    return Conflict(IndexKey(table.by_creation_time.number, b"x"), document, by)


def test_a_mutation_runs_again_as_if_for_the_first_time(tmp_path: Path) -> None:
    async def test(t: Deployment, engine: Contended) -> None:
        engine.coming = [conflict(t, by="m:send"), conflict(t, by="chat:clear")]
        outcome = await t.call("send", body="second", tags=[])
        assert outcome.failure is None
        assert outcome.log_lines == ["[LOG] 'sending' 'second' []"]
        assert await t.value("count") == 2
        assert engine.labels == ["m:send"] * 3

    check(tmp_path, test)


def test_each_attempt_is_in_the_log(tmp_path: Path) -> None:
    async def test(t: Deployment, engine: Contended) -> None:
        engine.coming = [conflict(t, by="m:send"), conflict(t, by="chat:clear")]
        await t.value("send", body="second", tags=[])
        first, second, last = t.completions
        assert first.error == (
            'Documents read from or written to the "messages" table changed while this mutation was being run. '
            'Another call to this mutation changed the document with ID "j57e4". See https://docs.convex.dev/error#1'
        )
        assert second.error is not None
        assert 'A call to "chat:clear" changed the document with ID "j57e4".' in second.error
        assert last.error is None
        assert [each.will_retry for each in t.completions] == [True, True, False]
        assert [_met(each) for each in t.completions] == [
            ("messages", "j57e4", "m:send", 0),
            ("messages", "j57e4", "chat:clear", 1),
            None,
        ]
        assert len({each.execution_id for each in t.completions}) == 3
        assert len({each.request_id for each in t.completions}) == 1
        assert [len(each.log_lines) for each in t.completions] == [1, 1, 1]
        assert [each.usage_stats.database_read_documents for each in t.completions] == [1, 1, 1]

    check(tmp_path, test)


def _met(entry: Completion) -> tuple[str | None, str | None, str | None, int] | None:
    met = entry.occ_info
    return None if met is None else (met.table_name, met.document_id, met.write_source, met.retry_count)


CHANGED = "changed while this mutation was being run and on every subsequent retry."
TEXTS: dict[str, tuple[dict[str, Any], str]] = {
    "itself": (
        {"by": "m:send"},
        (
            f'Documents read from or written to the "messages" table {CHANGED} '
            'Another call to this mutation changed the document with ID "j57e4". See https://docs.convex.dev/error#1'
        ),
    ),
    "another": (
        {"by": "chat:clear"},
        (
            f'Documents read from or written to the "messages" table {CHANGED} '
            'A call to "chat:clear" changed the document with ID "j57e4". See https://docs.convex.dev/error#1'
        ),
    ),
    "an unknown document": (
        {"by": "chat:clear", "document": None},
        f'Documents read from or written to the "messages" table {CHANGED} See https://docs.convex.dev/error#1',
    ),
    "an unknown table": ({}, f"Documents read from or written to some table {CHANGED} See https://docs.convex.dev/error#1"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_the_error_after_the_last_attempt(tmp_path: Path, case: str) -> None:
    given, text = TEXTS[case]

    async def test(t: Deployment, engine: Contended) -> None:
        engine.coming = [conflict(t, **given) if given else Conflict() for _ in range(RETRIES + 1)]
        with pytest.raises(RequestRefused) as caught:
            await t.call("send", body="second", tags=[])
        assert (caught.value.status, caught.value.code) == (503, "OptimisticConcurrencyControlFailure")
        assert isinstance(caught.value, MutationConflict)
        assert isinstance(caught.value.__cause__, Conflict)
        assert caught.value.message == text
        assert await t.value("count") == 1
        tried = t.completions[:-1]
        assert [each.will_retry for each in tried] == [True] * RETRIES + [False]
        assert tried[-1].error == text
        assert [each.occ_info.retry_count for each in tried if each.occ_info] == [0, 1, 2, 3, 4]

    check(tmp_path, test)


def test_actions_can_catch_it(tmp_path: Path) -> None:
    async def test(t: Deployment, engine: Contended) -> None:
        engine.coming = [conflict(t, by="m:send") for _ in range(RETRIES + 1)]
        assert await t.value("send_and_see") == TEXTS["itself"][1]
        engine.coming = [conflict(t, by="m:send") for _ in range(RETRIES + 1)]
        assert await t.error("send_blindly") == TEXTS["itself"][1]

    check(tmp_path, test)
