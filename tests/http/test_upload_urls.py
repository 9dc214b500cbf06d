"""Upload URLs are part of the mutation that made them: what became of it becomes of them, on every engine."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from pyconvex.store.postgres import notices
from pyconvex.store.postgres.server import Server
from support.postgres import fresh_database, server
from support.proxy import proxied
from support.served import Reply, Served, run, served

FILES = """
from pyconvex.server import action, mutation, query
from pyconvex.values import ConvexError
from ._generated.api import api

@mutation
async def make(ctx):
    return await ctx.storage.generate_upload_url()

@mutation
async def leak(ctx):
    raise ConvexError(await ctx.storage.generate_upload_url())

@mutation
async def print_and_fail(ctx):
    print(await ctx.storage.generate_upload_url())
    return 1 / 0

@mutation
async def from_a_failed_child(ctx):
    mine = await ctx.storage.generate_upload_url()
    try:
        await ctx.run_mutation(api.files.leak)
    except ConvexError as error:
        return [mine, error.data, await ctx.storage.generate_upload_url()]

@mutation
async def from_a_child(ctx):
    return await ctx.run_mutation(api.files.make)

@mutation
async def from_a_child_and_fail(ctx):
    raise ConvexError(await ctx.run_mutation(api.files.make))

@action
async def act(ctx):
    return await ctx.storage.generate_upload_url()

@action
async def act_and_fail(ctx):
    raise ConvexError(await ctx.storage.generate_upload_url())

@action
async def act_through_a_mutation(ctx):
    return await ctx.run_mutation(api.files.make)

@action
async def act_through_a_failed_mutation(ctx):
    try:
        await ctx.run_mutation(api.files.leak)
    except ConvexError as error:
        return error.data

@mutation
async def schedule(ctx):
    await ctx.scheduler.run_after(0, api.files.print_and_fail)

@query
async def count(ctx):
    return len(await ctx.db.system.query("_storage").collect())
"""


class Uploading:
    """A deployment, and who calls it and uploads."""

    def __init__(self, served: Served) -> None:
        self.served = served

    async def call(self, name: str) -> Any:
        """The value that the function returned, or the data of its error."""
        kind = "query" if name == "count" else "action" if name.startswith("act") else "mutation"
        reply = (await self.served.call(f"/api/{kind}", {"path": f"files:{name}", "args": {}})).json
        return reply["value"] if reply["status"] == "success" else reply.get("errorData")

    async def send(self, url: str) -> Reply:
        target = "/api/" + url.partition("/api/")[2]
        assert target.startswith("/api/storage/upload?token=")
        return await self.served.send(target, method="POST", body=b"hello", api=True)

    async def takes(self, url: str) -> bool:
        """Whether a file may be uploaded to `url`; the one way not to is the error of a token nobody was given."""
        before = await self.call("count")
        reply = await self.send(url)
        taken = reply.status == 200
        assert taken or (reply.status, reply.json["code"]) == (401, "StorageTokenInvalid")
        assert await self.call("count") == before + taken
        return taken


Story = Callable[[Uploading], Coroutine[Any, Any, None]]


class Place:
    """Where deployments of one test keep everything, one after another or at once."""

    def __init__(self, folder: Path, database: str | None) -> None:
        self._folder = folder
        self._database = database

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Uploading]:
        async with served(self._folder, {"files": FILES}, memory=False, database=self._database) as s:
            yield Uploading(s)

    def play(self, story: Story) -> None:
        async def whole() -> None:
            async with self.open() as t:
                await story(t)

        run(whole)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with fresh_database() if request.param == "postgres" else nullcontext() as name:
        yield Place(tmp_path, None if name is None else server().database_url(name))


def test_one_of_a_mutation_that_was_kept_works_more_than_once(place: Place) -> None:
    async def story(t: Uploading) -> None:
        for name in ("make", "from_a_child", "act_through_a_mutation"):
            url = await t.call(name)
            assert await t.takes(url) and await t.takes(url), name

    place.play(story)


def test_one_of_a_mutation_that_failed_is_refused_wherever_it_was_heard_of(place: Place) -> None:
    async def story(t: Uploading) -> None:
        for name in ("leak", "from_a_child_and_fail", "act_through_a_failed_mutation"):
            assert not await t.takes(await t.call(name)), name
        await t.call("print_and_fail")
        await t.call("schedule")
        await t.served.until(lambda: len(t.served.printed) >= 2)
        for line in t.served.printed:
            assert not await t.takes(line), line

    place.play(story)


def test_a_failed_call_inside_a_mutation_takes_its_own_along_and_no_others(place: Place) -> None:
    async def story(t: Uploading) -> None:
        before, failed, after = await t.call("from_a_failed_child")
        assert [await t.takes(url) for url in (before, failed, after)] == [True, False, True]

    place.play(story)


def test_an_action_that_fails_undoes_none_of_its_own(place: Place) -> None:
    async def story(t: Uploading) -> None:
        for name in ("act", "act_and_fail"):
            url = await t.call(name)
            assert await t.takes(url) and await t.takes(url), name

    place.play(story)


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_another_process_takes_uploads_before_it_has_heard_of_the_commit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No process hears of the others' commits by itself.
    monkeypatch.setattr(notices, "POLL_SECONDS", 1000.0)
    monkeypatch.setattr(notices, "_TELL", "SELECT {0}")

    async def story() -> None:
        async with place.open() as here, place.open() as there:
            await there.call("count")
            for _ in range(5):
                url = await here.call("make")
                assert (await there.send(url)).status == 200
                assert (await there.send(await here.call("leak"))).status == 401

    run(story)


def test_nothing_is_taken_while_nobody_can_tell_whether_one_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "patience_seconds", 0.1)

    async def story() -> None:
        with fresh_database() as name:
            async with proxied(server().database_url(name)) as proxy, Place(tmp_path, proxy.url).open() as t:
                url = await t.call("make")
                proxy.refusing = True
                proxy.cut()
                reply = await t.send(url)
                assert (reply.status, reply.json["code"]) == (503, "DatabaseUnreachable")
                assert [path for path in (tmp_path / ".pyconvex" / "files").rglob("*") if path.is_file()] == []
                proxy.refusing = False
                assert await t.takes(url)

    run(story)


def test_what_became_of_them_outlives_a_restart(place: Place) -> None:
    urls: dict[str, str] = {}

    async def before(t: Uploading) -> None:
        urls.update({name: await t.call(name) for name in ("make", "leak", "act")})

    async def after(t: Uploading) -> None:
        assert {name: await t.takes(url) for name, url in urls.items()} == {"make": True, "leak": False, "act": True}

    place.play(before)
    place.play(after)
