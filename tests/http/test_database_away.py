"""What callers hear while the database is away, and what the log keeps of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pyconvex.engine.outages import refusal
from pyconvex.store.persistence import StoreFailed
from pyconvex.store.postgres.server import Server
from support.postgres import SECURED, fresh_database, server
from support.proxy import Proxy, proxied
from support.served import Reply, Served, run, served

AWAY = "The database of this deployment cannot be reached at the moment, so nothing was changed. Try again later."
MODULES = {
    "m": """
        from pyconvex.server import action, mutation, query

        @query
        async def listed(ctx):
            return [row["n"] for row in await ctx.db.query("rows").collect()]

        @mutation
        async def add(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})

        @mutation
        async def add_and_fail(ctx, n: int):
            await ctx.db.insert("rows", {"n": n})
            raise ValueError("no")

        @action
        async def act(ctx):
            await ctx.run_mutation("m:add", n=3)

        @action
        async def schedule(ctx):
            await ctx.scheduler.run_after(0, "m:add", n=4)
    """,
    "http": """
        from pyconvex.server import Response, http_router

        http = http_router()

        @http.route(path="/add", method="POST")
        async def add(ctx, request):
            await ctx.run_mutation("m:add", n=5)
            return Response("done")

        @http.route(path="/schedule", method="POST")
        async def schedule(ctx, request):
            await ctx.scheduler.run_after(0, "m:add", n=6)
            return Response("done")

        default = http
    """,
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "patience_seconds", 0.1)


@asynccontextmanager
async def away(project: Path, *, redact: bool = False) -> AsyncGenerator[tuple[Served, Proxy]]:
    """A deployment that was cut off from its database, after the row 1 was added."""
    with fresh_database() as name:
        async with (
            proxied(server().database_url(name)) as proxy,
            served(project, MODULES, redact=redact, database=proxy.url) as s,
        ):
            assert (await s.call("/api/mutation", {"path": "m:add", "args": {"n": 1}})).json["status"] == "success"
            proxy.refusing = True
            proxy.cut()
            try:
                yield s, proxy
            finally:
                proxy.refusing = False


def secretless(reply: Reply, proxy: Proxy) -> bool:
    address = urlsplit(proxy.url)
    return not any(str(part) in reply.text for part in (address.port, address.hostname, "postgres:"))


@pytest.mark.parametrize("redact", [False, True], ids=["shown", "redacted"])
def test_it_is_a_503_with_a_code_of_its_own(tmp_path: Path, redact: bool) -> None:
    async def story() -> None:
        async with away(tmp_path, redact=redact) as (s, proxy):
            replies = [
                await s.call("/api/mutation", {"path": "m:add", "args": {"n": 2}}),
                await s.call("/api/query", {"path": "m:listed", "args": {}}),
                await s.call("/api/action", {"path": "m:schedule", "args": {}}),
                await s.call(
                    "/api/update_environment_variables", {"changes": [{"name": "A", "value": "b"}]}, **s.admin
                ),
                await s.send("/add", method="POST"),
                await s.send("/schedule", method="POST"),
            ]
            for reply in replies:
                assert (reply.status, reply.json) == (503, {"code": "DatabaseUnreachable", "message": AWAY})
                assert secretless(reply, proxy)
            assert not any("Traceback" in entry.error for entry in s.completions if entry.error)

    run(story)


def test_an_action_that_lets_it_pass_fails_with_that_sentence(tmp_path: Path) -> None:
    async def story() -> None:
        async with away(tmp_path) as (s, proxy):
            reply = await s.call("/api/action", {"path": "m:act", "args": {}})
            assert (reply.status, reply.json["status"]) == (200, "error")
            assert AWAY in reply.json["errorMessage"]
            assert secretless(reply, proxy)

    run(story)


def test_the_log_has_the_cause_and_claims_no_writes(tmp_path: Path) -> None:
    async def story() -> None:
        async with away(tmp_path) as (s, _proxy):
            await s.call("/api/mutation", {"path": "m:add", "args": {"n": 2}})
            entry = s.completions[-1]
            assert entry.error is not None
            assert entry.error.startswith("DatabaseUnreachable: the server cannot be reached: ")
            assert entry.hint == "is it running, and is the URL right?"
            assert (entry.usage_stats.database_write_documents, entry.usage_stats.database_write_bytes) == (0, 0)

    run(story)


def test_it_goes_on_by_itself_and_nothing_was_kept_of_what_was_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with away(tmp_path) as (s, proxy):
            await s.call("/api/mutation", {"path": "m:add", "args": {"n": 2}})
            proxy.refusing = False
            async with asyncio.timeout(20):
                while (await s.call("/api/mutation", {"path": "m:add", "args": {"n": 3}})).status == 503:
                    await asyncio.sleep(0.01)
            assert (await s.call("/api/query", {"path": "m:listed", "args": {}})).json["value"] == [1, 3]

    run(story)


def test_the_password_is_in_no_row(tmp_path: Path) -> None:
    async def story() -> None:
        with fresh_database() as name:
            server().execute(f"DROP ROLE IF EXISTS {SECURED}")
            server().execute(f"CREATE ROLE {SECURED} LOGIN PASSWORD 'xyzzy'")
            server().execute(f"GRANT CREATE ON DATABASE {name} TO {SECURED}")
            try:
                url = server().database_url(name, user=SECURED, password="xyzzy")
                async with served(tmp_path, MODULES, database=url) as s:
                    server().execute(f"ALTER ROLE {SECURED} PASSWORD 'plugh'")
                    server().execute(
                        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{SECURED}'"
                    )
                    reply = await s.call("/api/mutation", {"path": "m:add", "args": {"n": 1}})
                    assert (reply.status, reply.json["code"]) == (503, "DatabaseUnreachable")
                    assert s.completions[-1].error == "DatabasePassword: the password is wrong"
                    assert "xyzzy" not in reply.text
            finally:
                server().execute(f"DROP OWNED BY {SECURED} CASCADE", name)
                server().execute(f"DROP ROLE {SECURED}")

    run(story)


def test_a_mutation_that_fails_by_itself_claims_no_writes_either(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as s:
            await s.call("/api/mutation", {"path": "m:add_and_fail", "args": {"n": 2}})
            assert s.completions[-1].usage_stats.database_write_documents == 0
            await s.call("/api/mutation", {"path": "m:add", "args": {"n": 2}})
            assert s.completions[-1].usage_stats.database_write_documents == 1

    run(story)


@pytest.mark.parametrize(
    ("code", "status", "public"),
    [
        ("DatabaseUnreachable", 503, "DatabaseUnreachable"),
        ("DatabaseBusy", 503, "DatabaseBusy"),
        ("DatabaseLocked", 503, "DatabaseBusy"),
        ("CatalogChanged", 503, "DatabaseBusy"),
        ("DiskFull", 503, "DiskFull"),
        ("StoreClosed", 503, "ServiceUnavailable"),
        ("CommitUnknown", 500, "CommitUnknown"),
        ("StorageFailed", 500, "InternalServerError"),
        ("StorageCorrupt", 500, "InternalServerError"),
    ],
)
def test_only_what_goes_by_invites_to_try_again(code: str, status: int, public: str) -> None:
    refused = refusal(StoreFailed(code, "cannot reach db.internal.example: password is hunter2"))
    assert (refused.status, refused.code) == (status, public)
    assert "example" not in refused.message and "hunter2" not in refused.message
