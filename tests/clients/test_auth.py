"""Tokens that the official clients send over their WebSocket: good, refreshable, bad, changed and cleared."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.front_end import FrontEnd
from support.oidc_server import oidc_server
from support.served import run, served
from support.tokens import Issuer, signing_key
from support.wire import wire_to

ISSUER = Issuer()
FORGER = Issuer(key=signing_key("ES256", "another"))
MODULES = {
    "auth_config": ISSUER.config(),
    "users": """
        from pyconvex.server import action, mutation, query


        async def subject(ctx):
            identity = await ctx.auth.get_user_identity()
            return identity and identity["subject"]


        @query
        async def me(ctx):
            return await subject(ctx)


        @mutation
        async def sign(ctx):
            return await subject(ctx)


        @action
        async def act(ctx):
            return [await subject(ctx), await ctx.run_query("users:me")]
    """,
}


def tokens_of(subject: str, count: int = 2) -> list[str]:
    """Different tokens of one user, all good."""
    return [ISSUER.token(sub=subject, number=number) for number in range(count)]


def test_users_sign_in_change_and_sign_out(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            said = await front_end.play("auth.good", server.sockets.api_url, ada=tokens_of("ada"), bob=tokens_of("bob"))
            ada, ada_calls, signed_in, bob, bob_calls, nobody, no_calls, over = said
            assert (ada, ada_calls) == ("ada", ["ada", ["ada", "ada"]])
            # First the token it has, then at once a fresh one, which changes nothing that is shown.
            assert signed_in == [["ada"], [False, True], [True, True]]
            assert (bob, bob_calls) == ("bob", ["bob", ["bob", "bob"]])
            assert (nobody, no_calls) == (None, [None, [None, None]])
            assert over == [["ada", "bob", None], [True, True]]

    run(story)


def test_a_token_that_has_expired_is_refreshed(front_end: FrontEnd, tmp_path: Path) -> None:
    expired = ISSUER.token(sub="ada", exp=int(time.time()) - 60)

    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            said = await front_end.play("auth.bad", server.sockets.api_url, tokens=[expired, *tokens_of("ada", 1)])
            assert said == ["ada", [["ada"], [False, True], [True]]]

    run(story)


@pytest.mark.parametrize(
    "tokens", [["not a token"], [FORGER.token(number=n) for n in range(9)]], ids=["same", "forged"]
)
def test_a_token_that_stays_bad_is_given_up(tokens: list[str], front_end: FrontEnd, tmp_path: Path) -> None:
    """And the page goes on without: queries are answered for nobody."""

    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            signed, (seen, asked, changes) = await front_end.play("auth.bad", server.sockets.api_url, tokens=tokens)
            assert (signed, seen, changes) == (None, [None], [False])
            assert asked[0] is False and all(asked[1:]) and len(asked) <= 4

    run(story)


def test_a_token_that_expires_meanwhile_is_renewed(front_end: FrontEnd, tmp_path: Path) -> None:
    """The server finds out when it has something to do. What it had to do then happens with the new token."""

    async def story() -> None:
        with oidc_server() as provider:
            issuer = provider.issuer(signing_key())
            provider.publish(issuer.key)
            async with (
                served(tmp_path, {**MODULES, "auth_config": issuer.config()}) as server,
                front_end.playing("auth.expiring", server.sockets.api_url) as play,
            ):
                assert await play.said() is False
                expires = int(time.time()) + 3
                play.tell(short := issuer.token(exp=expires))
                assert await play.said() is True
                play.tell(short)
                while time.time() < expires + 0.1:
                    await asyncio.sleep(0.05)
                play.tell()
                assert await play.said() is True
                play.tell(issuer.token())
                signed, (seen, changes) = await play.ended()
                assert (signed, set(seen), set(changes)) == ("ada", {"ada"}, {True})

    run(story)


def test_tokens_over_http(front_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            url, good, bad = server.sockets.api_url, ISSUER.token(), FORGER.token()
            nobody, ada, refused, again = await front_end.play("auth.overHttp", url, good=good, bad=bad)
            assert nobody == again == [None, None, [None, None]]
            assert ada == ["ada", "ada", ["ada", "ada"]]
            assert json.loads(refused)["code"] == "InvalidAuthHeader"

    run(story)


def test_hooks_for_signed_in_users(front_end: FrontEnd, tmp_path: Path) -> None:
    """`ConvexProviderWithAuth`, `useConvexAuth` and the components that show by it."""

    tokens: dict[str, Any] = {"ada": tokens_of("ada"), "bob": tokens_of("bob"), "mallory": [FORGER.token()] * 2}

    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            [seen] = await front_end.play("react.auth", server.sockets.api_url, tokens=tokens)
            assert seen == ["out", "in", "loading", "in", "loading", "out"]

    run(story)


def test_the_python_client(python_end: FrontEnd, tmp_path: Path) -> None:
    tokens = {"ada": ISSUER.token(sub="ada"), "bob": ISSUER.token(sub="bob"), "bad": FORGER.token()}

    async def story() -> None:
        async with (
            served(tmp_path, MODULES) as server,
            wire_to(server.sockets.port) as wire,
            python_end.playing("python.auth", wire.url, **tokens) as play,
        ):
            assert await play.said() is None
            for name in ("ada", "bob"):
                assert [await play.said(), await play.said()] == [name, [name, [name, name]]]
            assert await play.said() == [None, None]
            # A refused token is forgotten for a good one; without another it is sent again and again.
            assert await play.said() == "ada"
            before = wire.connections
            await server.until(lambda: wire.connections >= before + 2)
            play.tell()
            assert await play.ended() == []

    run(story)
