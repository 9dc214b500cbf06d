"""`ConvexTest`, as the tests of a project use it."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.errors import DeveloperError, LoadFailed, PyconvexError
from pyconvex.testing import ConvexTest
from pyconvex.testing.client import ResponseCut
from pyconvex.values import ConvexError
from support.served import run, write_modules
from support.tokens import Issuer

MODULES = {
    "messages": """
        import os
        from pyconvex.server import action, Blob, internal_mutation, mutation, query
        from pyconvex.values import ConvexError
        from ._generated.api import internal

        AT_IMPORT = os.environ.get("AT_IMPORT")


        class Refused(Exception):
            pass


        def shout(text: str) -> str:
            return text.upper() + "!"


        @query
        async def by_author(ctx, author: str):
            found = await ctx.db.query("messages").collect()
            return [message for message in found if message["author"] == author]


        @internal_mutation
        async def send_one(ctx, body: str, author: str):
            return await ctx.db.insert("messages", {"body": body, "author": author})


        @mutation
        async def send(ctx, body: str):
            identity = await ctx.auth.get_user_identity()
            return await ctx.run_mutation(internal.messages.send_one, body=body, author=identity["name"])


        @mutation
        async def refuse(ctx, data=None):
            await ctx.db.insert("messages", {"body": "undone", "author": "nobody"})
            raise Refused("no") if data is None else ConvexError(data)


        @action
        async def variable(ctx, name: str):
            return os.environ.get(name)


        @action
        async def keep(ctx, text: str):
            return await ctx.storage.get_url(await ctx.storage.store(Blob([text], type="text/plain")))
    """,
    "http": """
        from pyconvex.server import Request, Response, http_router
        from ._generated.api import internal

        http = http_router()


        @http.route(path="/postMessage", method="POST")
        async def post(ctx, request: Request):
            message = await request.json()
            await ctx.run_mutation(internal.messages.send_one, body=message["body"], author=message["author"])
            return Response(None, status=200)


        @http.route(path="/who", method="GET")
        async def who(ctx, request: Request):
            identity = await ctx.auth.get_user_identity()
            return Response.json([identity and identity["name"], str(request.url), request.headers.get("x-y")])


        @http.route(path="/stream", method="GET")
        async def stream(ctx, request: Request):
            async def parts():
                for number in range(3):
                    yield str(number)
                if request.url.search_params.get("break"):
                    raise ValueError("half way")

            return Response(parts())


        @http.route(path="/fail", method="GET")
        async def fail(ctx, request: Request):
            raise ValueError("no")


        default = http
    """,
}


def exercise(tmp_path: Path, story: Callable[[ConvexTest], Coroutine[Any, Any, None]], **options: Any) -> None:
    write_modules(tmp_path, MODULES)

    async def whole() -> None:
        async with ConvexTest(tmp_path / "convex", **options) as t:
            await story(t)

    run(whole)


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        response = await t.fetch("/postMessage", method="POST", json={"author": "Ada", "body": "hi"})
        assert response.status == 200
        assert len(await t.query("messages:by_author", author="Ada")) == 1
        await t.run(lambda ctx: ctx.db.insert("messages", {"author": "Ada", "body": "there"}))
        assert len(await t.query("messages:by_author", author="Ada")) == 2
        as_ada = t.with_identity({"name": "Ada", "subject": "ada"})
        await as_ada.mutation("messages:send", body="me")
        assert len(await t.query("messages:by_author", author="Ada")) == 3

    exercise(tmp_path, story)


def test_the_ways_to_name_a_function(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        messages = t.module("messages")
        api = messages.internal
        for fn in ("messages:send_one", "messages:sendOne", api.messages.send_one, messages.send_one):
            await t.mutation(fn, body="x", author="Bob")
        assert len(await t.query(messages.by_author, author="Bob")) == 4

    exercise(tmp_path, story)


def test_inline_functions(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        async def insert(ctx: Any) -> str:
            return await ctx.db.insert("messages", {"body": "x", "author": "Eve"})

        made = await t.mutation(insert)
        assert (await t.query(lambda ctx: ctx.db.get(made)))["author"] == "Eve"
        found = await t.action(lambda ctx: ctx.run_query("messages:by_author", author="Eve"))
        assert len(found) == 1
        with pytest.raises(AttributeError):
            await t.query(insert)

    exercise(tmp_path, story)


def test_errors_arrive_as_they_were_raised(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        with pytest.raises(t.module("messages").Refused, match="no"):
            await t.mutation("messages:refuse")
        with pytest.raises(ConvexError) as caught:
            await t.mutation("messages:refuse", data={"code": 5})
        assert caught.value.data == {"code": 5}
        assert await t.query("messages:by_author", author="nobody") == []
        with pytest.raises(DeveloperError, match="missing the required field `author`"):
            await t.query("messages:by_author")
        with pytest.raises(DeveloperError, match="Could not find"):
            await t.query("messages:nowhere")
        with pytest.raises(DeveloperError, match="defined as Mutation"):
            await t.query("messages:send", body="x")

    exercise(tmp_path, story)


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        async def failing(ctx: Any) -> None:
            await ctx.db.insert("messages", {"author": "Eve"})
            raise LookupError("on purpose")

        with pytest.raises(LookupError, match="on purpose"):
            await t.run(failing)
        assert await t.query("messages:by_author", author="Eve") == []

    exercise(tmp_path, story)


def test_requests(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        reply = await t.fetch("/who?a=1", headers={"X-Y": "z"})
        assert await reply.json() == [None, "https://some.convex.site/who?a=1", "z"]
        as_ada = t.with_identity({"name": "Ada"})
        assert (await (await as_ada.fetch("/who")).json())[0] == "Ada"
        head = await t.fetch("/who", method="HEAD")
        assert (head.status, await head.text()) == (200, "")
        missing = await t.fetch("/nowhere")
        assert (missing.status, await missing.text()) == (404, "No matching routes found")
        failed = await t.fetch("/fail")
        assert failed.status == 500
        assert "Uncaught ValueError: no" in (await failed.json())["code"]
        for bad in ("who", "", "https://elsewhere/"):
            with pytest.raises(ValueError, match="must start with a `/`"):
                await t.fetch(bad)
        with pytest.raises(ValueError, match="not both"):
            await t.fetch("/who", method="POST", json={}, body="x")

    exercise(tmp_path, story)


def test_tokens_count_as_on_a_server_and_identities_come_before_them(tmp_path: Path) -> None:
    issuer = Issuer()
    write_modules(tmp_path, {"auth_config": issuer.config()})

    async def story(t: ConvexTest) -> None:
        headers = issuer.bearer(name="Token")
        assert (await (await t.fetch("/who", headers=headers)).json())[0] == "Token"
        as_ada = t.with_identity({"name": "Ada", "https://x.test/roles": ["chief"]})
        assert (await (await as_ada.fetch("/who", headers=headers)).json())[0] == "Ada"
        identity = await as_ada.query(lambda ctx: ctx.auth.get_user_identity())
        assert identity["https://x.test/roles"] == ["chief"]
        assert identity["tokenIdentifier"] == f"https://convex.test|{identity['subject']}"
        assert await as_ada.action(lambda ctx: ctx.auth.get_user_identity()) == identity

    exercise(tmp_path, story)


def test_streams(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        reply = await t.fetch("/stream")
        assert reply.body is not None
        assert [chunk async for chunk in reply.body] == [b"0", b"1", b"2"]
        broken = await t.fetch("/stream?break=1")
        with pytest.raises(ResponseCut):
            await broken.text()

    exercise(tmp_path, story)


def test_stored_files(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        url = await t.action("messages:keep", text="hello")
        reply = await t.fetch(url)
        assert (await reply.text(), reply.headers.get("content-type")) == ("hello", "text/plain")

    exercise(tmp_path, story)


def test_variables(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        assert t.module("messages").AT_IMPORT == "early"
        await t.set_env({"LATE": "x", "AT_IMPORT": None})
        assert await t.action("messages:variable", name="LATE") == "x"
        assert await t.action("messages:variable", name="AT_IMPORT") is None
        assert await t.action("messages:variable", name="CONVEX_SITE_URL") == "https://some.convex.site"

    exercise(tmp_path, story, env={"AT_IMPORT": "early"})


def test_helpers_of_modules(tmp_path: Path) -> None:
    async def story(t: ConvexTest) -> None:
        assert t.module("messages").shout("hi") == "HI!"
        with pytest.raises(LookupError, match=r'Could not find module for: "nowhere"'):
            t.module("nowhere")

    exercise(tmp_path, story)


def test_every_test_has_its_own_data(tmp_path: Path) -> None:
    write_modules(tmp_path, MODULES)

    async def story() -> None:
        async with ConvexTest(tmp_path / "convex") as one, ConvexTest(tmp_path / "convex") as two:
            await one.mutation("messages:send_one", body="x", author="Ada")
            assert len(await one.query("messages:by_author", author="Ada")) == 1
            assert await two.query("messages:by_author", author="Ada") == []

    run(story)
    assert not (tmp_path / ".pyconvex").exists()


def test_a_folder_with_problems(tmp_path: Path) -> None:
    write_modules(tmp_path, {"http": "default = None\n", "messages": "import nowhere\n"})

    async def story() -> None:
        with pytest.raises(LoadFailed) as caught:
            async with ConvexTest(tmp_path / "convex"):
                pass
        assert len(caught.value.problems) >= 1

    run(story)


def test_folders_are_found_from_the_working_directory_and_from_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_modules(tmp_path, MODULES)
    monkeypatch.chdir(tmp_path)

    async def story() -> None:
        async with ConvexTest() as t:
            assert await t.query("messages:by_author", author="x") == []

    run(story)
    with pytest.raises(PyconvexError, match="no folder nowhere"):
        ConvexTest("nowhere")


def test_it_opens_itself(tmp_path: Path) -> None:
    write_modules(tmp_path, MODULES)

    async def story() -> None:
        t = ConvexTest(tmp_path / "convex")
        both = await asyncio.gather(*(t.query("messages:by_author", author="x") for _ in range(2)))
        assert both == [[], []]
        await t.close()

    run(story)
