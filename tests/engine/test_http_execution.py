"""HTTP actions as the runner runs them: responses, failures, limits, streams, and the entry each one leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pyconvex.engine import permits
from pyconvex.engine.auth.identity import ANONYMOUS, Identity, acting_as, unusable, user
from pyconvex.engine.failures import FunctionFailed
from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.functions.context import current_ctx
from pyconvex.functions.fetch.request import Request
from pyconvex.functions.function import RegisteredFunction
from pyconvex.settings import Limits
from support.deployment import HEADER_LINES, Deployment, deployment

HANDLERS = """
@http_action
async def hello(ctx, request):
    print("hello", request.method)
    return Response("hi", status=201)

@http_action
async def nothing(ctx, request):
    pass

@http_action
async def a_dict(ctx, request):
    return {"a": 1}

@http_action
async def raises(ctx, request):
    raise ConvexError({"code": 1})

@http_action
async def too_slow(ctx, request):
    await asyncio.sleep(30)

@http_action
async def forgets(ctx, request):
    ctx.run_query(api.m.who)
    return Response("x")

@query
async def who(ctx):
    identity = await ctx.auth.get_user_identity()
    return identity and identity["name"]

@http_action
async def identity(ctx, request):
    try:
        return Response.json(await ctx.auth.get_user_identity())
    except Exception as error:
        return Response.json({"code": error.code, "message": str(error)})

@http_action
async def nested_identity(ctx, request):
    return Response.json(await ctx.run_query(who))

@http_action
async def meta(ctx, request):
    return Response.json([
        await ctx.meta.get_function_metadata(), await ctx.meta.get_request_metadata(),
        (await ctx.meta.get_deployment_metadata())["region"],
    ])
"""


def handler(t: Deployment, name: str) -> RegisteredFunction[..., Any]:
    return getattr(t.versions.current.modules["m"], name)


async def respond(t: Deployment, name: str, identity: Identity = ANONYMOUS) -> Any:
    """What the handler answers: its status and text."""
    running = t.runner.http_action(
        t.versions.current, handler(t, name), t.call_by(identity), f"GET /{name}/*", request=f"GET /{name}/7"
    )
    async with running:
        response = await running.respond(Request(f"http://127.0.0.1:3211/{name}/7"))
        running.finish(status=response.status)
        return response


def test_a_response_and_its_entry(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS) as t:
            response = await respond(t, "hello")
            assert (response.status, await response.text()) == (201, "hi")
            progress, done = t.entries
            assert (progress.kind, progress.identifier) == ("Progress", "GET /hello/7")
            assert [line.text() for line in progress.log_lines] == ["[LOG] 'hello' 'GET'"]
            [completion] = t.completions
            assert completion is done
            assert (completion.udf_type, completion.identifier, completion.request) == (
                "HttpAction",
                "GET /hello/*",
                "GET /hello/7",
            )
            assert completion.success is not None
            assert (completion.success.status, completion.status, completion.error) == ("201", 201, None)
            assert (completion.caller, completion.return_bytes, completion.log_lines) == ("Tester", None, [])

    asyncio.run(test())


FAILURES = {
    "nothing": "HTTP actions must return a Response, but `nothing` returned None",
    "a_dict": "HTTP actions must return a Response, but `a_dict` returned an object of type `dict`",
    "raises": 'Uncaught ConvexError: {"code":1}',
    "too_slow": "Function execution timed out (maximum duration: 0.05s)",
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(tmp_path: Path, name: str) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS, limits=Limits(action_seconds=0.05)) as t:
            with pytest.raises(FunctionFailed) as failed:
                await respond(t, name)
            assert failed.value.failure.message == FAILURES[name]
            [completion] = t.completions
            assert completion.error == failed.value.failure.text
            assert completion.success is None
            if name == "raises":
                assert failed.value.failure.data == {"code": 1}
                assert f"at raises (../convex/m.py:{HEADER_LINES + 17})" in failed.value.failure.text

    asyncio.run(test())


def test_a_forgotten_call_is_warned_about_when_the_response_is_sent(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS) as t:
            await respond(t, "forgets")
            [line] = t.entries[0].log_lines
            assert line.text().startswith("[WARN] 1 unawaited operation: [query]. ")

    asyncio.run(test())


def test_leaving_without_an_answer_is_logged_as_a_disconnect(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS) as t:
            async with t.runner.http_action(t.versions.current, None, t.call_by(), "GET /x"):
                pass
            assert (t.completions[0].error, t.completions[0].status) == ("Client disconnected", None)

    asyncio.run(test())


def test_a_stream_runs_under_the_actions_limit(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(30)

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise ValueError("torn")

    async def read(t: Deployment, body: AsyncIterator[bytes]) -> str:
        async with t.runner.http_action(t.versions.current, None, t.call_by(), "GET /x") as running:
            with pytest.raises(FunctionFailed) as failed:
                async for chunk in running.chunks(body):
                    assert chunk == b"a"
            running.finish(status=200)
        [line] = t.entries[-2].log_lines
        assert line.text() == f"[ERROR] {failed.value.failure.text}"
        return failed.value.failure.message

    async def test() -> None:
        async with deployment(tmp_path, HANDLERS, limits=Limits(action_seconds=0.05)) as t:
            assert await read(t, endless()) == "Function execution timed out (maximum duration: 0.05s)"
            assert await read(t, broken()) == "Uncaught ValueError: torn"

    asyncio.run(test())


def test_only_so_many_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits, "ACTION_PATIENCE_SECONDS", 0.02)

    async def test() -> None:
        async with deployment(tmp_path, HANDLERS, limits=Limits(concurrent_actions=1)) as t:
            async with t.runner.http_action(t.versions.current, None, t.call_by(), "GET /x"):
                with pytest.raises(RequestRefused) as refused:
                    await respond(t, "hello")
                assert (refused.value.status, refused.value.code) == (429, "TooManyConcurrentRequests")
                assert (t.completions[-1].status, t.completions[-1].error) == (429, refused.value.message)
                waiting = asyncio.create_task(respond(t, "hello"))
                await asyncio.sleep(0)
            assert (await waiting).status == 201

    asyncio.run(test())


ADA = {"issuer": "https://a.example", "subject": "ada", "name": "Ada"}


def test_identities(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS) as t:
            expected = {"tokenIdentifier": "https://a.example|ada", **ADA}
            for identity in (user(ADA), acting_as(ADA)):
                assert await (await respond(t, "identity", identity)).json() == expected
                assert await (await respond(t, "nested_identity", identity)).json() == "Ada"
            assert await (await respond(t, "identity")).json() is None
            foreign = unusable(DeveloperError("NoAuthProvider", "No auth provider is configured."))
            assert await (await respond(t, "identity", foreign)).json() == {
                "code": "NoAuthProvider",
                "message": "No auth provider is configured.",
            }
            with pytest.raises(RequestRefused):
                user({"name": "Ada"})

    asyncio.run(test())


def test_metadata(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS) as t:
            function, request, region = await (await respond(t, "meta")).json()
            assert (function["type"], function["visibility"]) == ("action", "public")
            assert request["requestId"] == t.call_by().request_id
            assert region is None

    asyncio.run(test())


def test_a_mounted_application_finds_its_ctx(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, HANDLERS) as t:
            async with t.runner.http_action(t.versions.current, None, t.call_by(user(ADA)), "GET /x") as running:
                assert current_ctx() is running.ctx
                assert await current_ctx().run_query("m:who") == "Ada"
                running.finish(status=200)
            with pytest.raises(DeveloperError):
                current_ctx()

    asyncio.run(test())
