"""The sync endpoint of a served deployment, as clients meet it on the network."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import ManualClock
from pyconvex.host import Host, HostOptions, bind_sockets
from pyconvex.sync import calls, session
from support.loopback import loopback, opened
from support.served import Served, run, served, write_modules
from support.sync_client import NPM_PATH, PYTHON_PATH, SyncClient, add, remove, sync_client
from support.tokens import Issuer
from support.web_sockets import Refused, web_socket

MODULES = {
    "m": """
        import asyncio
        import os
        from pyconvex.server import action, internal_mutation, internal_query, mutation, query
        from pyconvex.values import ConvexError

        @query
        async def rows(ctx):
            return [row["n"] for row in await ctx.db.query("rows").collect()]

        @query
        async def total(ctx):
            return sum([row["n"] for row in await ctx.db.query("rows").collect()])

        @query
        async def who(ctx):
            identity = await ctx.auth.get_user_identity()
            return identity and identity["subject"]

        @query
        async def variable(ctx):
            return os.environ.get("COLOUR")

        @internal_query
        async def hidden(ctx):
            return "seen"

        @mutation
        async def insert(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})
            return n

        @mutation
        async def mine(ctx):
            identity = await ctx.auth.get_user_identity()
            return identity and identity["subject"]

        @internal_mutation
        async def hidden_insert(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})

        @action
        async def later(ctx, n: int, seconds: float = 0.0):
            await asyncio.sleep(seconds)
            print("later", n)
            await ctx.run_mutation("m:hidden_insert", n=n)
            return n

        @action
        async def fail(ctx):
            raise ConvexError({"code": "NO"})
    """
}
Story = Callable[[Served, SyncClient], Coroutine[Any, Any, None]]


def tell(tmp_path: Path, story: Story, modules: dict[str, str] | None = None, path: str = NPM_PATH) -> None:
    """Run a story of one client that has connected."""

    async def begin() -> None:
        async with served(tmp_path, modules or MODULES) as app, sync_client(app.sockets.port, path) as client:
            client.connect()
            await story(app, client)

    run(begin)


# --- the way in


def test_who_is_let_in(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as app:
            for path, headers in [
                (NPM_PATH, {}),
                ("/api/1.45.0-alpha.1/sync", {}),
                (PYTHON_PATH, {"convex-client": "python-0.8.1"}),
                (PYTHON_PATH, {"convex-client": "mine-0.0.1", "origin": "https://elsewhere.test"}),
                (PYTHON_PATH, {}),
            ]:
                async with sync_client(app.sockets.port, path, headers) as client:
                    client.connect()
                    client.modify(0)
                    assert (await client.told())["endVersion"]["querySet"] == 1

    run(story)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/0.19.1/sync", {}, 400),
        ("/api/latest/sync", {}, 400),
        (PYTHON_PATH, {"convex-client": "python-0.0.2"}, 400),
        (PYTHON_PATH, {"convex-client": "python"}, 400),
        ("/api/sync/", {}, 404),
        ("/api/1.48.0/sync/x", {}, 404),
        ("/sync", {}, 404),
        ("/", {}, 404),
        ("/http/api/sync", {}, 404),
    ],
)
def test_who_is_not(tmp_path: Path, path: str, headers: dict[str, str], status: int) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as app:
            with pytest.raises(Refused) as refused:
                async with sync_client(app.sockets.port, path, headers):
                    pass
            assert refused.value.status == status
            with pytest.raises(Refused) as refused:
                async with sync_client(app.sockets.site_port):
                    pass
            assert refused.value.status == 404

    run(story)


# --- queries and requests


def test_clients_see_what_the_others_do(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as app, contextlib.AsyncExitStack() as open_clients:
            clients = [await open_clients.enter_async_context(sync_client(app.sockets.port)) for _ in range(10)]
            for client in clients:
                client.connect()
                client.modify(0, add(0, "m:rows"), add(1, "m:total"))
                await client.told()
            await asyncio.gather(*(race(client, number) for number, client in enumerate(clients)))

    async def race(client: SyncClient, number: int) -> None:
        """Each inserts five rows, and waits until it has seen everybody's."""
        for n in range(5):
            await client.ended(client.mutate("m:insert", n=number * 5 + n))
            rows, total = client.results[0], client.results[1]
            assert number * 5 + n in rows
            assert sum(rows) == total, "both are of one snapshot"
        while len(client.results[0]) < 50:
            await client.told()
            assert sum(client.results[0]) == client.results[1]
        assert sorted(client.results[0]) == list(range(50))

    run(story)


def test_a_missing_function_fails_alone(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:nowhere"), add(1, "m:rows"), add(2, "m:hidden"), add(3, "m:ro-ws"))
        await client.told()
        assert "Could not find public function for 'm:nowhere'." in client.results[0]
        assert client.results[1] == []
        assert "Could not find public function for 'm:hidden'." in client.results[2]
        assert "m:ro-ws is not a valid path to a Convex function." in client.results[3]
        for path, text in [
            ("m:nowhere", "Could not find public function for 'm:nowhere'."),
            ("m:hidden_insert", "Could not find public function for 'm:hidden_insert'."),
            ("m:in-sert", "m:in-sert is not a valid path to a Convex function."),
            ("m:rows", "Trying to execute m.js:rows as Mutation, but it is defined as Query."),
        ]:
            response = await client.ended(client.mutate(path, n=1))
            assert not response["success"]
            assert text in response["result"]

    tell(tmp_path, story)


def test_arguments_that_are_no_values_fail_alone(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        response = await client.ended(client.mutate("m:insert", n={"$integer": "?"}))
        assert not response["success"]
        assert "`$integer` must be a text in base64" in response["result"]
        response = await client.ended(client.act("m:later", n="1"))
        assert "ArgumentValidationError" in response["result"]
        client.modify(0, {"type": "Add", "queryId": 0, "udfPath": "m:rows", "args": [{}, {}]}, add(1, "m:rows"))
        await client.until("Transition")
        assert "Server Error" in client.results[0], "of arguments by position at most one is taken"
        assert client.results[1] == []

    tell(tmp_path, story)


def test_actions_interleave(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:rows"))
        await client.told()
        slow, quick = client.act("m:later", n=1, seconds=0.3), client.act("m:later", n=2)
        responses = [await client.until("ActionResponse"), await client.until("ActionResponse")]
        assert [each["requestId"] for each in responses] == [quick, slow]
        assert responses[0]["logLines"] == ["[LOG] 'later' 2"]
        await client.until("Transition")
        assert client.results[0] == [2, 1]
        response = await client.ended(client.act("m:fail"))
        assert (response["success"], response["errorData"]) == (False, {"code": "NO"})

    tell(tmp_path, story)


def test_code_that_is_reloaded_changes_what_is_shown(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:rows"), add(1, "m:variable"), add(2, "m:total"))
        await client.told()
        assert client.results == {0: [], 1: None, 2: 0.0}
        write_modules(tmp_path, {"m": MODULES["m"].replace('return [row["n"]', 'return ["new"] + [row["n"]')})
        await app.host.reload()
        told = await client.told()
        assert [each["queryId"] for each in told["modifications"]] == [0]
        assert client.results[0] == ["new"]
        await app.host.environment.set_many({"COLOUR": "red"})
        await client.told()
        assert client.results[1] == "red"
        assert (await client.ended(client.mutate("m:insert", n=1)))["success"]

    tell(tmp_path, story)


# --- identities


def test_identities(tmp_path: Path) -> None:
    issuer = Issuer()

    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:who"), add(1, "m:rows"))
        await client.told()
        assert client.results[0] is None
        client.mutate("m:mine")
        client.say("Authenticate", baseVersion=0, tokenType="User", value=issuer.token(sub="ada"))
        client.mutate("m:mine")
        assert (await client.until("MutationResponse"))["result"] is None
        assert (await client.until("MutationResponse"))["result"] == "ada"
        await client.until_identity(1)
        assert client.results[0] == "ada"
        client.say("Authenticate", baseVersion=1, tokenType="None")
        await client.until_identity(2)
        assert client.results[0] is None

    tell(tmp_path, story, {**MODULES, "auth_config": issuer.config()})


def test_a_token_of_nobody_we_know(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.say("Authenticate", baseVersion=0, tokenType="User", value=Issuer().token(sub="ada"))
        told = await client.told()
        assert (told["type"], told["baseVersion"], told["authUpdateAttempted"]) == ("AuthError", 0, True)
        assert "No auth provider found" in told["error"]
        closed = await client.closed()
        assert closed is not None
        assert closed.code == 1005

    tell(tmp_path, story)


def test_a_token_that_expires_while_it_is_used(tmp_path: Path) -> None:
    issuer, clock = Issuer(), ManualClock()

    async def story() -> None:
        modules = {**MODULES, "auth_config": issuer.config()}
        async with opened(tmp_path, modules, clock=clock) as host, loopback(host) as client, loopback(host) as other:
            for each in (client, other):
                each.connect()
                each.modify(0, add(0, "m:rows"))
                await each.told()
            token = issuer.token(sub="ada", exp=int(clock.now_ms() / 1000) + 60)
            client.say("Authenticate", baseVersion=0, tokenType="User", value=token)
            await client.until_identity(1)
            await other.ended(other.mutate("m:insert", n=1))
            await client.told()
            assert client.results[0] == [1]
            clock.advance(70)
            await other.ended(other.mutate("m:insert", n=2))
            told = await client.until("AuthError")
            assert (told["baseVersion"], told["authUpdateAttempted"]) == (1, False)
            assert told["error"] == "Convex token identity expired"
            closed = await client.closed()
            assert closed is not None
            assert closed.code == 1005
            assert client.results[0] == [1]

    run(story)


def test_admins(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:hidden"), add(1, "m:who"))
        await client.told()
        key = app.host.admin_key
        client.say("Authenticate", baseVersion=0, tokenType="Admin", value=key)
        await client.until_identity(1)
        assert (client.results[0], client.results[1]) == ("seen", None)
        assert (await client.ended(client.mutate("m:hidden_insert", n=1)))["success"]
        user = {"issuer": "https://i.test", "subject": "ada"}
        client.say("Authenticate", baseVersion=1, tokenType="Admin", value=key, impersonating=user)
        await client.until_identity(2)
        assert (client.results[0], client.results[1]) == ("seen", "ada")

    tell(tmp_path, story)


def test_a_wrong_admin_key(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.say("Authenticate", baseVersion=0, tokenType="Admin", value="x|y")
        assert (await client.told())["error"] == "The provided admin key was invalid for this instance"
        await client.closed()

    tell(tmp_path, story)


# --- errors and endings


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("nonsense", 1005, None),
        ('{"type":"ModifyQuerySet","baseVersion":4,"newVersion":5,"modifications":[]}', 1005, None),
        (
            '{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Remove","queryId":1}]}',
            1011,
            "InternalServerError: query 1 is not subscribed to",
        ),
    ],
)
def test_what_breaks_the_protocol(tmp_path: Path, text: str, code: int, reason: str | None) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.socket.say(text)
        if code == 1005:
            assert (await client.told())["type"] == "FatalError"
        closed = await client.closed()
        assert closed is not None
        assert (closed.code, closed.reason or None) == (code, reason)

    tell(tmp_path, story)


def test_binary_messages_close(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as app, web_socket(app.sockets.port, NPM_PATH) as socket:
            socket.say_bytes(b"x")
            closed = await socket.closed()
            assert closed is not None
            assert closed.code == 1011

    run(story)


def test_a_flood_of_mutations_closes(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        for number in range(1500):
            client.mutate("m:insert", n=number)
        closed = await client.closed()
        assert closed is not None
        assert (closed.code, closed.reason) == (1013, "TooManyConcurrentMutations")

    tell(tmp_path, story)


def test_who_asks_for_very_much_is_not_heard_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ASKED_BYTES_MAX", 1000)

    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:rows"))
        await client.told()
        for _ in range(2):
            client.act("m:wait", text="x" * 600)
        client.mutate("m:insert", n=1)
        await app.until(lambda: app.printed.count("[LOG] 'waiting'") == 2)
        reply = await app.call("/api/mutation", {"path": "m:insert", "args": {"n": 0}})
        assert reply.status == 200
        await client.told()
        assert client.results[0] == [0]
        await app.call("/api/mutation", {"path": "m:go_on", "args": {}})
        assert (await client.until("MutationResponse"))["success"]

    waiting = """
        import asyncio
        from pyconvex.server import action, mutation, query

        @query
        async def goes_on(ctx):
            return await ctx.db.query("signals").first() is not None

        @mutation
        async def go_on(ctx):
            await ctx.db.insert("signals", {})

        @action
        async def wait(ctx, text: str):
            print("waiting")
            while not await ctx.run_query("m:goes_on"):
                await asyncio.sleep(0.01)
    """
    tell(tmp_path, story, {"m": MODULES["m"] + waiting})


def test_a_mutation_that_cannot_begin_for_too_long_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MUTATION_SECONDS", 0.05)

    async def story(app: Served, client: SyncClient) -> None:
        go_on = asyncio.Event()
        blocking = asyncio.create_task(app.host.store.mutate(lambda _: go_on.wait()))
        await asyncio.sleep(0)
        client.mutate("m:insert", n=1)
        closed = await client.closed()
        assert closed is not None
        assert (closed.code, closed.reason) == (1013, "SystemTimeoutError")
        go_on.set()
        await blocking
        reply = await app.call("/api/query", {"path": "m:rows", "args": {}})
        assert reply.json["value"] == [], "nobody waits for it, so it does not run"

    tell(tmp_path, story)


def test_requests_and_results_of_nearly_sixteen_megabytes(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0)
        await client.told()
        text = "x" * (16 * 2**20 - 1000)
        response = await client.ended(client.act("m:back", text=text))
        assert (response["success"], response["result"] == text) == (True, True)
        response = await client.ended(client.act("m:back", text=text + "x" * 1000))
        assert not response["success"]
        assert "Arguments for m.js:back are too large (actual: 16" in response["result"]

    back = """
        from pyconvex.server import action

        @action
        async def back(ctx, text: str):
            return text
    """
    tell(tmp_path, story, {"m": back})


def test_a_query_that_fails_tells_its_lines_and_data_and_runs_again(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:picky"), add(1, "m:broken"))
        picky, broken = (await client.told())["modifications"]
        text = picky.pop("errorMessage")
        assert text.partition("\n")[2].startswith(
            'Uncaught ConvexError: {"code":"EMPTY"}\n    at picky (../convex/m.py:'
        )
        assert picky == {
            "type": "QueryFailed", "queryId": 0, "logLines": ["[LOG] 'looking'"], "journal": None,
            "errorData": {"code": "EMPTY"},
        }  # fmt: skip
        assert set(broken) == {"type", "queryId", "errorMessage", "logLines", "journal"}
        await client.ended(client.mutate("m:insert", n=1))
        assert client.results[0] == 1.0
        assert "ValueError: broken" in client.results[1]

    picky = """
        @query
        async def picky(ctx):
            print("looking")
            rows = await ctx.db.query("rows").collect()
            if not rows:
                raise ConvexError({"code": "EMPTY"})
            return len(rows)

        @query
        async def broken(ctx):
            raise ValueError("broken")
    """
    tell(tmp_path, story, {"m": MODULES["m"] + picky})


def test_who_leaves_is_forgotten(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:rows"))
        await client.told()
        client.act("m:later", n=1, seconds=0.2)
        client.mutate("m:insert", n=2)
        await client.until("MutationResponse")
        client.socket.abort()
        await app.until(lambda: not app.host.sync.sessions)
        await app.until(lambda: "[LOG] 'later' 1" in app.printed)  # what has begun ends
        reply = await app.call("/api/query", {"path": "m:rows", "args": {}})
        assert sorted(reply.json["value"]) in ([2.0], [1.0, 2.0])

    tell(tmp_path, story)


def test_a_server_that_stops_says_so_and_answers_what_runs(tmp_path: Path) -> None:
    write_modules(tmp_path, MODULES)

    async def story() -> None:
        options = HostOptions(project=tmp_path, memory=True, patience_seconds=5.0)
        async with Host.open(options) as host:
            await host.reload()
            sockets, shutdown = bind_sockets(port=0, site_port=0), asyncio.Event()
            server = asyncio.ensure_future(host.serve(sockets, shutdown))
            async with sync_client(sockets.port) as busy, sync_client(sockets.port) as idle:
                for client in (busy, idle):
                    client.connect()
                    client.modify(0, add(0, "m:rows"))
                    await client.told()
                request = busy.act("m:later", n=1, seconds=0.3)
                await busy.ended(busy.mutate("m:insert", n=0))  # so that the action has begun, too
                shutdown.set()
                assert (await busy.ended(request))["success"]
                for client in (idle, busy):
                    closed = await client.closed()
                    assert closed is not None
                    assert (closed.code, closed.reason) == (1001, "ServerStopped")
                await server

    run(story)


def test_a_query_that_is_not_wanted_any_more_does_not_run(tmp_path: Path) -> None:
    async def story(app: Served, client: SyncClient) -> None:
        client.modify(0, add(0, "m:rows"))
        await client.told()
        client.modify(1, remove(0))
        await client.told()
        assert client.results == {}
        before = len(app.completions)
        assert (await client.ended(client.mutate("m:insert", n=1)))["success"]
        assert [each.identifier for each in app.completions[before:]] == ["m:insert"]

    tell(tmp_path, story)
