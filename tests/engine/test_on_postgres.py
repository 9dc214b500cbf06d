"""Functions on a store that answers late: what the engine's own loop makes of real waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pyconvex.engine.auth.identity import ADMIN
from pyconvex.engine.execution import Call, Caller
from pyconvex.host import Host, HostOptions
from pyconvex.settings import Limits
from pyconvex.store.postgres.persistence import PostgresPersistence
from support.deployment import HEADER, Deployment, deployment
from support.postgres import fresh_database, server
from support.proxy import proxied

MODULE = """
@mutation
async def add(ctx, text: str = "", n: float = 0.0):
    return await ctx.db.insert("notes", {"text": text, "n": n})

@query
async def texts(ctx):
    return [note["text"] for note in await ctx.db.query("notes").collect()]

@query
async def both(ctx, a: str, b: str):
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(ctx.db.get(a)), group.create_task(ctx.db.get(b))
    again = await asyncio.gather(ctx.db.get(a), ctx.db.query("notes").collect())
    return [first.result()["text"], second.result()["text"], again[0]["text"], len(again[1])]

@mutation
async def patch_together(ctx, id: str):
    await asyncio.gather(ctx.db.patch(id, {"text": "x"}), ctx.db.patch(id, {"n": 7}), ctx.db.patch(id, {"m": 1}))
    return await ctx.db.get(id)

@mutation
async def delete_twice(ctx, id: str):
    return [type(each).__name__ for each in
            await asyncio.gather(ctx.db.delete(id), ctx.db.delete(id), return_exceptions=True)]

@mutation
async def forgets(ctx, id: str):
    ctx.db.get(id)
    ctx.db.patch(id, {"text": "forgotten"})

@mutation
async def fails_forgotten(ctx, id: str):
    ctx.db.delete(id)
    ctx.db.delete(id)

@mutation
async def swallows(ctx, id: str):
    try:
        await ctx.run_mutation(internal.m.writes_and_fails, id=id)
    except Exception:
        pass
    await ctx.db.patch(id, {"n": 9})
    return await ctx.run_query(internal.m.one, id=id)

@internal_mutation
async def writes_and_fails(ctx, id: str):
    await ctx.db.patch(id, {"text": "lost"})
    raise ValueError("no")

@internal_query
async def one(ctx, id: str):
    return await ctx.db.get(id)

@mutation
async def raises_while_reading(ctx, id: str):
    waiting = asyncio.ensure_future(ctx.db.get(id))
    raise ConvexError("early")

@mutation
async def increment(ctx, id: str):
    note = await ctx.db.get(id)
    await ctx.db.patch(id, {"n": note["n"] + 1})
    return note["n"]

@query
async def waits_for_nothing(ctx, id: str):
    await ctx.db.get(id)
    await asyncio.sleep(1)

@query
async def spins(ctx, id: str):
    await ctx.db.get(id)
    while True:
        await ctx.db.get(id)

@query
async def long(ctx, id: str):
    try:
        for _ in range(400):
            await ctx.db.get(id)
    except Exception:
        return "an error that nobody should see"
    return "all read"

@action
async def counts(ctx, id: str):
    await asyncio.gather(*[ctx.run_mutation(api.m.increment, id=id) for _ in range(20)])
    return (await ctx.run_query(internal.m.one, id=id))["n"]
"""


Story = Callable[[Deployment, str], Awaitable[None]]


def play(root: Path, story: Story, *, limits: Limits | None = None) -> None:
    """A deployment on PostgreSQL with one note, whose id the story gets."""

    async def whole() -> None:
        with fresh_database() as name:
            engine = PostgresPersistence(server().database_url(name))
            async with deployment(root, MODULE, persistence=engine, limits=limits) as t:
                await story(t, await t.value("add", text="a"))

    asyncio.run(whole())


def test_reads_at_once_in_one_query(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        b = await t.value("add", text="b")
        assert await t.value("both", a=a, b=b) == ["a", "b", "a", 2]

    play(tmp_path, story)


def test_writes_at_once_to_one_document_all_count(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        patched = await t.value("patch_together", id=a)
        assert (patched["text"], patched["n"], patched["m"]) == ("x", 7.0, 1.0)
        assert sorted(await t.value("delete_twice", id=a)) == ["DocumentRefused", "NoneType"]
        assert await t.value("texts") == []

    play(tmp_path, story)


def test_what_is_forgotten_happens_and_only_writes_are_warned_about(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        await t.value("forgets", id=a)
        assert await t.value("texts") == ["forgotten"]
        (warning,) = [line.text() for entry in t.completions for line in entry.log_lines]
        assert "`ctx.db.patch`" in warning
        assert "nonexistent document" in await t.error("fails_forgotten", id=a)
        assert await t.value("texts") == ["forgotten"]

    play(tmp_path, story)


def test_a_nested_call_that_fails_takes_its_writes_along(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        note = await t.value("swallows", id=a)
        assert (note["text"], note["n"]) == ("a", 9.0)

    play(tmp_path, story)


def test_a_failure_leaves_the_connection_of_its_reads_in_order(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        for _ in range(30):  # more than there are connections
            assert "early" in await t.error("raises_while_reading", id=a)
        assert await t.value("texts") == ["a"]

    play(tmp_path, story)


def test_conflicts_run_the_function_again_until_all_have_counted(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        assert await t.value("counts", id=a) == 20.0

    play(tmp_path, story)


def test_what_waits_for_nothing_and_what_never_ends_are_told_apart(tmp_path: Path) -> None:
    async def story(t: Deployment, a: str) -> None:
        assert "action" in await t.error("waits_for_nothing", id=a)
        assert "timed out" in await t.error("spins", id=a)
        assert await t.value("texts") == ["a"]

    play(tmp_path, story, limits=Limits(query_seconds=0.05, read_ranges=10**9, read_documents=10**9))


def test_a_query_whose_connection_breaks_runs_again(tmp_path: Path) -> None:
    async def whole() -> None:
        with fresh_database() as name:
            async with proxied(server().database_url(name)) as proxy:
                engine = PostgresPersistence(proxy.url)
                async with deployment(tmp_path, MODULE, persistence=engine) as t:
                    a = await t.value("add", text="a")
                    running = asyncio.create_task(t.value("long", id=a))
                    await asyncio.sleep(0.03)
                    assert not running.done()
                    proxy.cut()
                    assert await running == "all read"

    asyncio.run(whole())


def test_a_host_keeps_everything_in_the_database_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "m.py").write_text(HEADER + MODULE)

    async def open_twice(url: str) -> None:
        for expected in ([], ["kept"]):
            async with Host.open(HostOptions(project=tmp_path, database=url)) as host:
                await host.reload()
                call = Call(Caller.TESTER, ADMIN, "0123456789abcdef")
                assert (await host.runner.call("m:texts", {}, call)).value == expected
                await host.runner.call("m:add", {"text": "kept"}, call)

    with fresh_database() as name:
        asyncio.run(open_twice(server().database_url(name)))
    assert not (tmp_path / ".pyconvex" / "data.sqlite3").exists()
