"""Tokens through the front door: the client API, HTTP actions, and what functions learn of who is asking."""

import asyncio
import base64
import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.oidc_server import oidc_server
from support.served import Served, run, served, write_modules
from support.tokens import IMPORTS, Issuer, any_tokens, signing_key

FUNCTIONS = """
    from ._generated.api import api, internal
    from ._generated.server import action, http_action, internal_mutation, mutation, query
    from pyconvex.server import Response


    @query
    async def me(ctx):
        return await ctx.auth.get_user_identity()


    @query
    async def nested(ctx):
        return await ctx.run_query(api.m.me)


    @mutation
    async def write(ctx):
        return await ctx.run_query(api.m.me)


    @action
    async def act(ctx):
        mine = await ctx.auth.get_user_identity()
        assert mine == await ctx.run_query(api.m.me) == await ctx.run_mutation(api.m.write)
        return mine


    @mutation
    async def later(ctx):
        await ctx.scheduler.run_after(0, internal.m.note)


    @internal_mutation
    async def note(ctx):
        print("scheduled for", await ctx.auth.get_user_identity())


    @mutation
    async def request(ctx):
        return (await ctx.meta.get_request_metadata())["authToken"]


    @http_action
    async def who(ctx, request):
        try:
            identity = await ctx.auth.get_user_identity()
        except Exception as error:
            return Response.json({"raised": error.code, "text": str(error), "header": request.headers["authorization"]})
        return Response.json({"identity": identity})


    @http_action
    async def asks(ctx, request):
        try:
            return Response.json({"identity": await ctx.run_query(api.m.me)})
        except Exception as error:
            return Response.json({"raised": error.code})
"""
ROUTES = """
    from pyconvex.server import http_router
    from .m import asks, who

    http = http_router()
    http.route(path="/who", method="GET", handler=who)
    http.route(path="/asks", method="GET", handler=asks)
    default = http
"""
ISSUER = Issuer()
MODULES = {"m": FUNCTIONS, "http": ROUTES, "auth_config": ISSUER.config()}
ADA = {"tokenIdentifier": "https://issuer.test|ada", "issuer": "https://issuer.test", "subject": "ada"}


async def ask(server: Served, path: str, headers: dict[str, str], *, endpoint: str = "/api/query") -> Any:
    reply = await server.call(endpoint, {"path": path, "args": {}}, **headers)
    assert (reply.status, reply.json["status"]) == (200, "success"), reply.text
    return reply.json["value"]


def test_a_user_is_known_to_every_kind_of_function(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            headers, ada = ISSUER.bearer(name="Ada"), {**ADA, "name": "Ada"}
            assert await ask(server, "m:me", headers) == ada
            assert await ask(server, "m:nested", headers) == ada
            assert await ask(server, "m:write", headers, endpoint="/api/mutation") == ada
            assert await ask(server, "m:act", headers, endpoint="/api/action") == ada
            assert (await server.send("/who", headers=headers)).json == {"identity": ada}
            assert (await server.send("/asks", headers=headers)).json == {"identity": ada}
            assert {entry.identity_type for entry in server.completions} == {"user"}
            assert await ask(server, "m:me", {}) is None
            assert server.completions[-1].identity_type == "unknown"

    run(story)


def test_what_is_scheduled_runs_for_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            await ask(server, "m:later", ISSUER.bearer(), endpoint="/api/mutation")
            await server.until(lambda: bool(server.printed))
            assert server.printed == ["[LOG] 'scheduled for' null"]

    run(story)


def test_mutations_and_actions_may_look_at_the_token(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            headers = ISSUER.bearer()
            token = headers["authorization"].removeprefix("Bearer ")
            assert await ask(server, "m:request", headers, endpoint="/api/mutation") == token
            assert await ask(server, "m:request", {}, endpoint="/api/mutation") is None
            assert await ask(server, "m:request", server.admin, endpoint="/api/mutation") is None

    run(story)


HOUR_AGO = {"exp": 1_000_000_000}
BAD = {
    "no JWT": ("Bearer nonsense", 401, "InvalidAuthHeader"),
    "parts that are no JSON": ("Bearer aaaa.bbbb.cccc", 401, "InvalidAuthHeader"),
    "no token": ("Bearer", 400, "InvalidHeaderFailure"),
    "another issuer": (f"Bearer {ISSUER.token(iss='https://other.test')}", 401, "NoAuthProvider"),
    "another audience": (f"Bearer {ISSUER.token(aud='other-app')}", 401, "NoAuthProvider"),
    "expired": (f"Bearer {ISSUER.token(**HOUR_AGO)}", 401, "InvalidAuthHeader"),
    "cut short": (f"Bearer {ISSUER.token()[:-10]}", 401, "InvalidAuthHeader"),
    "basic authentication": ("Basic dXNlcjpwYXNz", 400, "InvalidAdminKey"),
    "a key of one's own": ("ApiKey 0123456789", 400, "InvalidAdminKey"),
    "too short": ("a", 400, "InvalidHeaderFailure"),
    "not ASCII": ("Bearer é", 400, "HeaderParseFailure"),
    "a wrong admin key": ("Convex chat|wrong", 401, "BadAdminKey"),
}


def test_the_client_api_refuses_and_http_actions_run(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            for why, (header, status, code) in BAD.items():
                headers, ran = {"authorization": header}, len(server.completions)
                reply = await server.call("/api/query", {"path": "m:me", "args": {}}, **headers)
                assert (reply.status, reply.json["code"]) == (status, code), why
                assert len(server.completions) == ran, why
                seen = (await server.send("/who", headers=headers)).json
                assert (seen["raised"], seen["header"]) == (code, header), why
                assert (await server.send("/asks", headers=headers)).json == {"raised": code}, why

    run(story)


def test_an_admin_acts_as_a_user(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            assert await ask(server, "m:me", server.admin) is None
            attributes = json.dumps({"issuer": "https://x.test", "subject": "ada", "role": {"is": "chief"}})
            encoded = base64.b64encode(attributes.encode()).decode()
            headers = {"authorization": f"{server.admin['authorization']}:{encoded}"}
            assert await ask(server, "m:me", headers) == {
                "tokenIdentifier": "https://x.test|ada", "issuer": "https://x.test", "subject": "ada",
                "role": {"is": "chief"},
            }  # fmt: skip

    run(story)


def test_a_reload_decides_whose_tokens_count(tmp_path: Path) -> None:
    async def story() -> None:
        other = Issuer("https://other.test", key=signing_key("RS256", "other"))
        async with served(tmp_path, {"m": FUNCTIONS, "auth_config": ISSUER.config()}) as server:
            assert (await ask(server, "m:me", ISSUER.bearer()))["subject"] == "ada"
            write_modules(tmp_path, {"auth_config": other.config()})
            reloaded = await server.host.reload()
            assert (reloaded.changes.auth.added, reloaded.changes.auth.removed) == ((other.url,), (ISSUER.url,))
            assert (await ask(server, "m:me", other.bearer()))["issuer"] == other.url
            reply = await server.call("/api/query", {"path": "m:me", "args": {}}, **ISSUER.bearer())
            assert (reply.status, reply.json["code"]) == (401, "NoAuthProvider")
            (tmp_path / "convex" / "auth_config.py").unlink()
            await server.host.reload()
            reply = await server.call("/api/query", {"path": "m:me", "args": {}}, **other.bearer())
            assert reply.json == {
                "code": "NoAuthProvider",
                "message": "No auth provider found matching the given token (no providers are configured).",
            }

    run(story)


def test_which_providers_there_are_is_kept_from_clients_in_production(tmp_path: Path) -> None:
    async def story(redact: bool) -> str:
        async with served(tmp_path, MODULES, redact=redact) as server:
            stranger = Issuer("https://other.test").bearer()
            return (await server.call("/api/query", {"path": "m:me", "args": {}}, **stranger)).json["message"]

    assert ISSUER.url in asyncio.run(story(redact=False))
    assert ISSUER.url not in asyncio.run(story(redact=True))


def test_openid_connect_with_one_fetch_for_all_and_nobody_else_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        with oidc_server() as provider:
            issuer = provider.issuer(signing_key("EdDSA"))
            provider.publish(issuer.key)
            provider.keys.release = threading.Event()
            async with served(tmp_path, {**MODULES, "auth_config": issuer.config()}) as server:
                asked = [asyncio.create_task(ask(server, "m:me", issuer.bearer(sub=f"user-{n}"))) for n in range(8)]
                hook = asyncio.create_task(server.send("/who", headers=issuer.bearer()))
                await asyncio.to_thread(provider.until_asked, "/keys", 1)
                assert await ask(server, "m:me", {}) is None  # served meanwhile
                assert (await server.send("/who")).json == {"identity": None}
                assert not any(each.done() for each in [*asked, hook])
                provider.keys.release.set()
                assert [(await each)["subject"] for each in asked] == [f"user-{n}" for n in range(8)]
                assert (await hook).json["identity"]["subject"] == "ada"
                assert provider.asked == {"/.well-known/openid-configuration": 1, "/keys": 1}

    run(story)


def test_a_provider_that_is_down_fails_its_own_tokens_only(tmp_path: Path) -> None:
    async def story() -> None:
        with oidc_server() as provider:
            down = provider.issuer(signing_key())
            provider.pages.clear()
            both = f"{IMPORTS}default = auth_config({down.call()}, {ISSUER.call()})\n"
            async with served(tmp_path, {**MODULES, "auth_config": both}) as server:
                reply = await server.call("/api/query", {"path": "m:me", "args": {}}, **down.bearer())
                assert (reply.status, reply.json["code"]) == (400, "AuthProviderDiscoveryFailed")
                assert (await server.send("/who", headers=down.bearer())).json[
                    "raised"
                ] == "AuthProviderDiscoveryFailed"
                assert (await ask(server, "m:me", ISSUER.bearer()))["subject"] == "ada"
                assert await ask(server, "m:me", {}) is None
        async with served(tmp_path, {**MODULES, "auth_config": both}) as server:
            reply = await server.call("/api/query", {"path": "m:me", "args": {}}, **down.bearer())
            assert (reply.status, reply.json["code"]) == (503, "AuthProviderUnavailable")

    run(story)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_tokens(), min_size=10, max_size=10))
def test_no_token_makes_the_server_fail(tmp_path: Path, tokens: list[str]) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            for token in tokens:
                reply = await server.call("/api/query", {"path": "m:me", "args": {}}, authorization=f"Bearer {token}")
                assert reply.status == 401, (token, reply.text)
                assert (await server.send("/who", headers={"authorization": f"Bearer {token}"})).status == 200

    run(story)


def test_cryptography_is_imported_with_the_first_token(tmp_path: Path) -> None:
    """It costs more than everything else of a start, and most deployments have no tokens."""
    write_modules(tmp_path, MODULES)
    script = """
        import asyncio, sys
        from pyconvex.testing import ConvexTest

        def heavy():
            return [name for name in ("jwt", "cryptography", "urllib.request") if name in sys.modules]

        async def main():
            async with ConvexTest("convex") as t:
                assert await t.query("m:me") is None
                assert (await t.fetch("/who")).status == 200
                assert (await t.fetch("/who", headers={"authorization": "Bearer nonsense"})).status == 200
                assert heavy() == [], heavy()
                response = await t.fetch("/who", headers={"authorization": f"Bearer {sys.argv[1]}"})
                print(await response.text(), "jwt" in sys.modules)

        asyncio.run(main())
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), ISSUER.token()],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.stderr == ""
    assert '"subject":"ada"' in ran.stdout.replace(" ", "")
    assert ran.stdout.endswith("True\n")
