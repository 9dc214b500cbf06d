"""Keys of providers: how often they are fetched, how they are renewed, and what happens when they cannot be had."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from pyconvex.clock import ManualClock
from pyconvex.engine.auth import key_documents
from pyconvex.engine.auth.key_documents import FAILURE_SECONDS, RENEWAL_SECONDS
from pyconvex.engine.auth.key_fetch import DOCUMENT_BYTES_MAX, FRESH_SECONDS_MIN, UNSAID_SECONDS
from pyconvex.engine.auth.tokens import Tokens
from pyconvex.errors import RequestRefused
from pyconvex.functions.auth_config import AuthConfig, auth_config, custom_jwt, oidc
from support.oidc_server import DISCOVERY, JSON_TYPE, KEYS, OidcServer, Page, oidc_server
from support.tokens import AUDIENCE, SigningKey, jwks, signing_key

OLD, NEW = signing_key("ES256", "old"), signing_key("ES256", "new")


class Provider:
    """A provider on a port, a deployment that trusts it, and their clock."""

    def __init__(self, server: OidcServer) -> None:
        self.server = server
        self.clock = ManualClock()
        self.tokens = Tokens(self.clock)
        self.config = auth_config(oidc(domain=server.url, application_id=AUDIENCE))
        server.publish(OLD)

    def use_custom(self, path: str = KEYS) -> None:
        self.config = auth_config(
            custom_jwt(issuer=self.server.url, jwks=self.server.url + path, algorithm="ES256", application_id=AUDIENCE)
        )

    def token(self, key: SigningKey = OLD) -> str:
        expires = int(self.clock.now_ms() / 1000) + 10**6
        return key.sign({"iss": self.server.url, "sub": "ada", "aud": AUDIENCE, "exp": expires})

    async def accepts(self, key: SigningKey = OLD, config: AuthConfig | None = None) -> bool:
        """Whether a token signed with `key` counts; raises what is not about the token."""
        try:
            await self.tokens.verify(self.token(key), config or self.config)
        except RequestRefused as error:
            if error.code not in ("Unauthenticated", "InvalidAuthHeader") or "JWKS" in error.message:
                raise
            return False
        return True

    async def refusal(self, key: SigningKey = OLD) -> tuple[int, str, str]:
        with pytest.raises(RequestRefused) as caught:
            await self.tokens.verify(self.token(key), self.config)
        return caught.value.status, caught.value.code, caught.value.message

    @property
    def asked(self) -> tuple[int, int]:
        """How often for the discovery document, and for the keys."""
        return self.server.asked[DISCOVERY], self.server.asked[KEYS]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oidc_server() as server:
        yield Provider(server)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 30))


# --- caching


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, UNSAID_SECONDS),
        ("public", UNSAID_SECONDS),
        ("max-age=60", 60),
        ("public, max-age=600, must-revalidate", 600),
        ("no-store", FRESH_SECONDS_MIN),
        ("max-age=0", FRESH_SECONDS_MIN),
    ],
)
def test_keys_are_kept_as_long_as_their_server_says(provider: Provider, header: str | None, seconds: float) -> None:
    async def story() -> None:
        if header is not None:
            provider.server.publish(OLD, cache_control=header)
        for _ in range(3):
            assert await provider.accepts()
        assert provider.asked == (1, 1)
        provider.clock.advance(seconds - 1)
        assert await provider.accepts()
        assert provider.asked[1] == 1
        provider.clock.advance(1.5)
        assert await provider.accepts()
        assert provider.asked[1] == 2

    run(story())


def test_the_discovery_document_has_a_time_of_its_own(provider: Provider) -> None:
    async def story() -> None:
        provider.server.discovery.headers["cache-control"] = "max-age=30"
        assert await provider.accepts()
        provider.clock.advance(31)
        provider.server.discovery.body = {"issuer": provider.server.url, "jwks_uri": f"{provider.server.url}/moved"}
        provider.server.pages["/moved"] = Page(jwks(NEW))
        assert await provider.accepts(NEW)
        assert not await provider.accepts(OLD)
        assert provider.asked == (2, 1)

    run(story())


def test_a_clock_that_is_set_back_keeps_nothing_for_ever(provider: Provider) -> None:
    async def story() -> None:
        assert await provider.accepts()
        token = provider.token()
        provider.clock.advance(-1000)
        await provider.tokens.verify(token, provider.config)
        assert provider.asked == (2, 2)

    run(story())


def test_a_reload_keeps_the_keys_of_providers_that_stay(provider: Provider) -> None:
    async def story() -> None:
        other = custom_jwt(issuer="https://other.test", jwks=f"{provider.server.url}/other", algorithm="RS256")
        assert await provider.accepts()
        moved = [replace(each, place=replace(each.place, line=99)) for each in provider.config.providers]
        assert await provider.accepts(config=AuthConfig((other, *moved)))
        assert provider.asked == (1, 1)
        stranger = signing_key("RS256").sign({"iss": "https://x.test", "sub": "a", "exp": 2**40, "aud": "x"})
        with pytest.raises(RequestRefused):
            await provider.tokens.verify(stranger, AuthConfig((other,)))
        pages = provider.server.pages
        pages["/other"] = Page(jwks(signing_key("RS256")))
        token = signing_key("RS256").sign({"iss": "https://other.test", "sub": "a", "exp": 2**40})
        await provider.tokens.verify(token, AuthConfig((other,)))
        assert await provider.accepts()
        assert provider.asked == (2, 2)  # forgotten meanwhile

    run(story())


# --- rotation


def test_an_unknown_key_is_looked_for_once_in_a_while(provider: Provider) -> None:
    async def story() -> None:
        assert await provider.accepts(OLD)
        provider.server.publish(NEW, OLD)
        assert not await provider.accepts(NEW)  # what is known is seconds old
        assert provider.asked == (1, 1)
        provider.clock.advance(RENEWAL_SECONDS + 1)
        assert await provider.accepts(NEW)
        assert await provider.accepts(OLD)
        assert provider.asked == (1, 2)
        for n in range(5):
            assert not await provider.accepts(signing_key("ES256", f"made up {n}"))
        assert provider.asked == (1, 2)
        provider.clock.advance(RENEWAL_SECONDS + 1)
        for n in range(5):
            assert not await provider.accepts(signing_key("ES256", f"made up {n}"))
        assert provider.asked == (1, 3)

    run(story())


def test_a_key_that_was_withdrawn_counts_no_more_after_a_renewal(provider: Provider) -> None:
    async def story() -> None:
        assert await provider.accepts(OLD)
        provider.server.publish(NEW)
        provider.clock.advance(RENEWAL_SECONDS + 1)
        assert await provider.accepts(NEW)
        assert not await provider.accepts(OLD)

    run(story())


def test_a_renewal_that_fails_takes_nothing_away(provider: Provider) -> None:
    async def story() -> None:
        assert await provider.accepts(OLD)
        provider.server.pages[KEYS] = Page(b"", 500)
        provider.clock.advance(RENEWAL_SECONDS + 1)
        assert (await provider.refusal(NEW))[:2] == (503, "AuthProviderUnavailable")
        assert await provider.accepts(OLD)
        provider.clock.advance(UNSAID_SECONDS)
        assert (await provider.refusal(OLD))[:2] == (503, "AuthProviderUnavailable")

    run(story())


# --- one fetch for all


def test_everyone_waits_for_the_same_fetch_and_who_leaves_takes_nothing_along(provider: Provider) -> None:
    async def story() -> None:
        release = provider.server.keys.release = threading.Event()
        waiting = [asyncio.create_task(provider.accepts()) for _ in range(20)]
        await asyncio.to_thread(provider.server.until_asked, KEYS, 1)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        release.set()
        assert await asyncio.gather(*waiting[1:]) == [True] * 19
        assert provider.asked == (1, 1)

    run(story())


def test_a_provider_that_does_not_answer_is_given_up(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        provider.use_custom()
        monkeypatch.setattr(key_documents, "FETCH_SECONDS", 0.05)
        provider.server.keys.release = threading.Event()
        status, code, message = await provider.refusal()
        assert (status, code) == (503, "AuthProviderUnavailable")
        assert "did not answer within 0.05 s" in message
        assert (await provider.refusal())[0] == 503
        await asyncio.to_thread(provider.server.until_asked, KEYS, 1)
        assert provider.asked == (0, 1)  # not asked again at once
        monkeypatch.undo()
        provider.server.keys.release.set()
        provider.clock.advance(FAILURE_SECONDS + 0.1)
        assert await provider.accepts()

    run(story())


# --- answers that will not do

UNAVAILABLE, DISCOVERY_FAILED, BAD = (
    (503, "AuthProviderUnavailable"),
    (400, "AuthProviderDiscoveryFailed"),
    (401, "InvalidAuthHeader"),
)
ANSWERS = {
    "missing": (Page(b"", 404), DISCOVERY_FAILED, BAD),
    "gone": (Page(b"", 410), DISCOVERY_FAILED, BAD),
    "empty": (Page(b"", 204), DISCOVERY_FAILED, BAD),
    "in trouble": (Page(b"", 502), UNAVAILABLE, UNAVAILABLE),
    "asked too much": (Page(b"", 429), UNAVAILABLE, UNAVAILABLE),
    "no JSON": (Page(b"<html>"), DISCOVERY_FAILED, BAD),
    "no object": (Page([1]), DISCOVERY_FAILED, BAD),
    "nested": (Page(b"[" * 100_000), DISCOVERY_FAILED, BAD),
    "not UTF-8": (Page(b'{"keys": "\xff"}'), DISCOVERY_FAILED, BAD),
    "something else": (Page({"jwks": 7}), DISCOVERY_FAILED, BAD),
    "too large": (Page(b" " * (DOCUMENT_BYTES_MAX + 1)), DISCOVERY_FAILED, BAD),
    "to a file": (Page(b"", 302, {"location": "file:///etc/passwd"}), DISCOVERY_FAILED, BAD),
    "to another scheme": (Page(b"", 302, {"location": "https://127.0.0.1:1/"}), DISCOVERY_FAILED, BAD),
    "in circles": (Page(b"", 302, {"location": KEYS}), DISCOVERY_FAILED, BAD),
    "nowhere": (Page(b"", 302, {}), DISCOVERY_FAILED, BAD),
}


@pytest.mark.parametrize(("page", "of_oidc", "of_custom"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_cannot_be_used_fails_the_token(
    provider: Provider, page: Page, of_oidc: tuple[int, str], of_custom: tuple[int, str]
) -> None:
    async def story() -> None:
        for path in (KEYS, DISCOVERY):
            kept, provider.server.pages[path] = provider.server.pages[path], page
            assert (await provider.refusal())[:2] == of_oidc, path
            provider.server.pages[path] = kept
            provider.clock.advance(FAILURE_SECONDS + 0.1)
            assert await provider.accepts()  # it was only that
            provider.clock.advance(UNSAID_SECONDS + 1)
        provider.use_custom()
        provider.server.pages[KEYS] = page
        assert (await provider.refusal())[:2] == of_custom

    run(story())


@pytest.mark.parametrize(
    ("headers", "of_oidc", "of_custom"),
    [
        (JSON_TYPE, True, True),
        ({"content-type": "application/jwk-set+json"}, True, True),
        ({"content-type": "Application/JSON; charset=UTF-8"}, True, True),
        ({"content-type": "application/json; charset=latin-1"}, False, False),
        ({"content-type": "text/html"}, False, False),
        ({}, True, False),
    ],
)
def test_media_types_of_keys(provider: Provider, headers: dict[str, str], of_oidc: bool, of_custom: bool) -> None:
    async def story() -> None:
        provider.server.keys.headers = headers
        if of_oidc:
            assert await provider.accepts()
        else:
            assert (await provider.refusal())[:2] == DISCOVERY_FAILED
        provider.use_custom()
        if of_custom:
            assert await provider.accepts()
        else:
            assert (await provider.refusal())[:2] == BAD
        assert set(provider.server.accepted) == {"application/json"}

    run(story())


def test_redirects_are_followed_within_http(provider: Provider) -> None:
    async def story() -> None:
        provider.server.pages["/moved"] = provider.server.keys
        provider.server.pages[KEYS] = Page(b"", 302, {"location": "/moved"})
        assert await provider.accepts()
        provider.use_custom()
        assert await provider.accepts()

    run(story())


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"issuer": "https://other.test"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "data:,{}"},
        {"jwks_uri": "//x"},
        {"jwks_uri": ["http://127.0.0.1"]},
    ],
)
def test_discovery_documents_that_will_not_do(provider: Provider, metadata: dict[str, Any]) -> None:
    async def story() -> None:
        body = {**provider.server.discovery.body, **metadata} if metadata else {}
        provider.server.discovery.body = body
        assert (await provider.refusal())[:2] == DISCOVERY_FAILED
        assert provider.asked == (1, 0)

    run(story())


def test_a_port_that_nobody_listens_on(provider: Provider) -> None:
    async def story() -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        config = auth_config(oidc(domain=url, application_id=AUDIENCE))
        token = OLD.sign({"iss": url, "sub": "a", "aud": AUDIENCE, "exp": 2**40})
        with pytest.raises(RequestRefused) as caught:
            await provider.tokens.verify(token, config)
        assert (caught.value.status, caught.value.code) == (503, "AuthProviderUnavailable")
        assert "cannot be reached" in caught.value.message

    run(story())
