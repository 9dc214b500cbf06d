"""What is kept of upload URLs: seen by nobody, in nobody's way, counted, and swept when they have expired."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import ManualClock
from pyconvex.engine.files import upload_urls
from pyconvex.engine.files.file_sweep import FileSweep
from pyconvex.engine.files.upload_tokens import VALID_SECONDS
from pyconvex.engine.files.upload_urls import KEPT_MS, check_upload
from pyconvex.errors import RequestRefused
from pyconvex.settings import Limits
from pyconvex.store.keys import Commit
from pyconvex.store.schema.catalog import BY_CREATION_TIME, UPLOAD_URLS, table_of_index
from support.deployment import Deployment, deployment
from support.live import live, quiet

pytestmark = pytest.mark.usefixtures("every_engine")

URLS = """
@mutation
async def make(ctx, times: int = 1):
    return [await ctx.storage.generate_upload_url() for _ in range(times)]

@mutation
async def make_and_forget(ctx):
    ctx.storage.generate_upload_url()

@mutation
async def make_and_measure(ctx):
    await ctx.storage.generate_upload_url()
    try:
        await ctx.run_mutation(api.m.make_and_fail)
    except ValueError:
        pass
    return (await ctx.meta.get_transaction_metrics())["documentsWritten"]["used"]

@mutation
async def make_and_fail(ctx):
    await ctx.storage.generate_upload_url()
    raise ValueError("no")

@mutation
async def read_and_make(ctx):
    await ctx.db.query("notes").collect()
    await ctx.db.system.query("_storage").collect()
    return await ctx.storage.generate_upload_url()

@mutation
async def make_twice_in_turn(ctx):
    first = await ctx.storage.generate_upload_url()
    await ctx.db.insert("notes", {"url": first})
    return [first, await ctx.storage.generate_upload_url()]

@action
async def act(ctx):
    return await ctx.storage.generate_upload_url()

@query
async def notes(ctx):
    return len(await ctx.db.query("notes").collect())

@query
async def files(ctx):
    return len(await ctx.db.system.query("_storage").collect())

@query
async def look(ctx, id: str):
    found = await ctx.db.system.query("_upload_urls").collect()
    for read in (ctx.db.get, ctx.db.system.get):
        try:
            found.append(await read(id))
        except Exception:
            pass
    return [each for each in found if each is not None]
"""


async def rows(t: Deployment) -> list[dict[str, Any]]:
    async with t.store.snapshot() as transaction:
        index = transaction.index(UPLOAD_URLS, BY_CREATION_TIME)
        assert index is not None
        return await transaction.take(index)


async def refusal(t: Deployment, url: str) -> str | None:
    """The code with which an upload is refused; None when it is taken."""
    try:
        await check_upload(t.runner.services, url.partition("?token=")[2])
    except RequestRefused as refused:
        assert refused.status == 401
        return refused.code
    return None


def test_one_is_one_small_document_of_a_mutation_and_none_of_an_action(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, URLS) as t:
            await t.value("act")
            assert await rows(t) == []
            [url] = await t.value("make")
            [row] = await rows(t)
            assert row.keys() == {"_id", "_creationTime"}
            assert row["_id"] not in url
            await t.error("make_and_fail")
            assert len(await rows(t)) == 1

    asyncio.run(test())


def test_functions_do_not_see_them_and_no_table_is_added(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, URLS) as t:
            await t.value("make")
            [row] = await rows(t)
            assert await t.value("look", id=row["_id"]) == []
            async with t.store.snapshot() as transaction:
                assert transaction.catalog.user_tables == 0
                assert transaction.catalog.tables == ()
                number = transaction.catalog.next_number()
            await t.value("make_twice_in_turn")
            assert [(table.name, table.number) for table in t.store.catalog.tables] == [("notes", number)]

    asyncio.run(test())


def test_it_writes_where_nobody_reads_so_no_live_query_runs_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with live(tmp_path, URLS) as it:
            commits: list[Commit] = []
            session = it.watcher("notes")
            session.ask(1, "files")
            await session.view()
            it.deployment.store.on_commit(commits.append)
            [url] = await it.value("make")
            await it.deployment.store.hear((await it.deployment.call("read_and_make")).ts or 0)
            assert {table_of_index(key.index) for commit in commits for key in commit.written} == {
                it.deployment.store.catalog.system(UPLOAD_URLS).number
            }
            await quiet()
            assert (session.told, it.runs("notes"), it.runs("files")) == (0, 1, 1)
            assert await refusal(it.deployment, url) is None

    asyncio.run(test())


def test_mutations_that_make_them_together_do_not_meet(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, URLS) as t:
            urls = await asyncio.gather(*(t.value("read_and_make") for _ in range(40)))
            assert len(t.completions) == 40, "no attempt was sent back"
            assert [await refusal(t, url) for url in urls] == [None] * 40
            assert len(await rows(t)) == 40

    asyncio.run(test())


def test_each_counts_as_a_write_unless_it_is_undone(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, URLS, limits=Limits(write_documents=5)) as t:
            assert await t.value("make_and_measure") == 1
            assert len(await t.value("make", times=5)) == 5
            assert "Too many writes in a single function execution (limit: 5)" in await t.error("make", times=6)
            assert len(await rows(t)) == 6

    asyncio.run(test())


def test_one_that_is_not_awaited_is_worth_no_warning(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, URLS) as t:
            await t.value("make_and_forget")
            assert [entry.log_lines for entry in t.completions] == [[]]

    asyncio.run(test())


def test_each_expires_by_itself_and_what_is_kept_goes_later(tmp_path: Path) -> None:
    async def test() -> None:
        clock = ManualClock()
        async with deployment(tmp_path, URLS, clock=clock) as t:
            sweep = FileSweep(t.runner.services)
            [old] = await t.value("make")
            free = await t.value("act")
            clock.advance(VALID_SECONDS - 1)
            [young] = await t.value("make")
            assert [await refusal(t, url) for url in (old, free, young)] == [None] * 3
            clock.advance(2)
            await sweep.sweep()
            assert [await refusal(t, url) for url in (old, free, young)] == ["StorageTokenExpired"] * 2 + [None]
            clock.advance(KEPT_MS / 1000 - VALID_SECONDS)
            await sweep.sweep()
            assert await refusal(t, old) == "StorageTokenExpired"
            assert [row["_creationTime"] for row in await rows(t)] == [pytest.approx(clock.now_ms() - 3_602_000, abs=5)]

    asyncio.run(test())


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_many_are_swept_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(upload_urls, "FORGOTTEN_AT_ONCE", 3)

    async def test() -> None:
        clock = ManualClock()
        async with deployment(tmp_path, URLS, clock=clock) as t:
            await t.value("make", times=count)
            clock.advance(KEPT_MS / 1000 + 1)
            [kept] = await t.value("make")
            commits: list[Commit] = []
            t.store.on_commit(commits.append)
            await FileSweep(t.runner.services).sweep()
            await t.store.hear((await t.store.mutate(_nothing)).ts)
            assert len(commits) == -(-count // 3)
            assert len(await rows(t)) == 1
            assert await refusal(t, kept) is None

    asyncio.run(test())


async def _nothing(_: object) -> None: ...


def test_two_that_sweep_at_once_do_no_harm(tmp_path: Path) -> None:
    async def test() -> None:
        clock = ManualClock()
        async with deployment(tmp_path, URLS, clock=clock) as t:
            await t.value("make", times=20)
            clock.advance(KEPT_MS / 1000 + 1)
            await asyncio.gather(*(FileSweep(t.runner.services).sweep() for _ in range(3)))
            assert await rows(t) == []

    asyncio.run(test())


def test_a_document_of_that_table_alone_is_no_token(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, URLS) as t:
            await t.value("make")
            [row] = await rows(t)
            assert await refusal(t, "?token=" + row["_id"]) == "StorageTokenInvalid"

    asyncio.run(test())
