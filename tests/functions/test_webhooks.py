"""Signatures of webhooks: published examples, the senders' own libraries, and everything that must not pass."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.errors import RequestRefused
from pyconvex.functions.fetch.headers import Headers
from pyconvex.functions.webhooks.verification import Webhook
from pyconvex.server import (
    GitHubWebhook,
    Request,
    StandardWebhook,
    StripeWebhook,
    WebhookVerificationError,
)

NOW = 1_700_000_000_000.0
BODY = b'{"type":"order.paid","n":1}'
SVIX_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SVIX_SECRET = "whsec_dGhlIG90aGVyIHNlY3JldA=="


class Published(NamedTuple):
    """One example that the sender, or its own library, gives."""

    hook: Webhook
    body: bytes
    headers: dict[str, str]
    at_ms: float = NOW


PUBLISHED = {
    # The reference implementations of Standard Webhooks and Svix share this one.
    "standard": Published(
        StandardWebhook(SVIX_SECRET),
        b'{"test": 2432232314}',
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        1_614_265_330_000,
    ),
    "svix": Published(
        StandardWebhook(SVIX_SECRET),
        b'{"test": 2432232314}',
        {
            "Svix-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "Svix-Timestamp": "1614265330",
            "Svix-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        1_614_265_330_000,
    ),
    # Made by `generate_signature_header` of Stripe's library.
    "stripe": Published(
        StripeWebhook("whsec_test_secret"),
        b'{"id":"evt_1"}',
        {"Stripe-Signature": "t=1700000000,v1=248a374f50f943a28b0f6ab50faf9a7e7e29b710fa26df9fb1618b9bf8ea9c9a"},
    ),
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    "github": Published(
        GitHubWebhook("It's a Secret to Everybody"),
        b"Hello, World!",
        {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_examples(name: str) -> None:
    example = PUBLISHED[name]
    example.hook.check(example.body, example.headers, now=example.at_ms)
    for changed in (example.body + b" ", example.body[:-1], b""):
        with pytest.raises(WebhookVerificationError) as raised:
            example.hook.check(changed, example.headers, now=example.at_ms)
        assert (raised.value.code, raised.value.status) == ("WebhookSignatureMismatch", 400)


@given(st.text(st.characters(codec="utf-8")), st.binary(min_size=1, max_size=64))
def test_what_the_official_library_signs_is_accepted_and_the_other_way_round(body: str, key: bytes) -> None:
    official, ours = standardwebhooks.Webhook(key), StandardWebhook([b"another", key])
    at = datetime.now(UTC)
    theirs = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": official.sign("msg_1", at, body),
    }
    ours.check(body, theirs, now=at)
    official.verify(body, StandardWebhook(key).sign(body, at=at), json_parse=False)


HOOKS: dict[str, Any] = {
    "standard": StandardWebhook(SVIX_SECRET),
    "stripe": StripeWebhook("whsec_1"),
    "github": GitHubWebhook("secret"),
}
TIMED = ("standard", "stripe")


def signed(name: str, at: float = NOW) -> dict[str, str]:
    return HOOKS[name].sign(BODY) if name == "github" else HOOKS[name].sign(BODY, at=at)


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize(
    ("seconds", "code"), [(0, ""), (300, ""), (301, "WebhookTooOld"), (-300, ""), (-301, "WebhookTooNew")]
)
def test_the_replay_window(name: str, seconds: int, code: str) -> None:
    assert refusal(HOOKS[name], signed(name), now=NOW + seconds * 1000) == code


def test_the_window_may_be_another() -> None:
    hook = StripeWebhook("whsec_1", tolerance=timedelta(hours=1))
    assert refusal(hook, signed("stripe"), now=NOW + 3_600_000) == ""
    assert refusal(hook, signed("stripe"), now=datetime.fromtimestamp(NOW / 1000 + 3601, UTC)) == "WebhookTooOld"
    for seconds in (0, -1):
        with pytest.raises(ValueError, match="must be above zero"):
            StripeWebhook("whsec_1", tolerance=timedelta(seconds=seconds))


def test_github_signs_no_time_so_a_delivery_never_gets_too_old() -> None:
    assert refusal(HOOKS["github"], signed("github"), now=NOW + 10**12) == ""


def refusal(hook: Webhook, headers: dict[str, str] | Headers, body: bytes = BODY, now: Any = NOW) -> str:
    """The code that a request is refused with; empty when it is accepted."""
    try:
        hook.check(body, headers, now=now)
    except WebhookVerificationError as error:
        return error.code
    return ""


MALFORMED: list[tuple[str, dict[str, str], str]] = [
    ("standard", {"webhook-id": ""}, "WebhookHeaderMissing"),
    ("standard", {"webhook-timestamp": ""}, "WebhookHeaderMissing"),
    ("standard", {"webhook-signature": ""}, "WebhookHeaderMissing"),
    ("standard", {"webhook-signature": "v2,AAAA v1a,BBBB"}, "WebhookHeaderMalformed"),
    ("standard", {"webhook-signature": "v1,"}, "WebhookSignatureMismatch"),
    ("standard", {"webhook-signature": "v1,\xe9"}, "WebhookSignatureMismatch"),
    ("standard", {"webhook-timestamp": "1.7e9"}, "WebhookHeaderMalformed"),
    ("standard", {"webhook-timestamp": "-1700000000"}, "WebhookHeaderMalformed"),
    ("standard", {"webhook-timestamp": "\xb2"}, "WebhookHeaderMalformed"),
    ("standard", {"webhook-timestamp": "9" * 5000}, "WebhookHeaderMalformed"),
    ("standard", {"webhook-id": "msg_test.1"}, "WebhookHeaderMalformed"),
    ("standard", {"webhook-id": "msg_other"}, "WebhookSignatureMismatch"),
    ("standard", {"webhook-timestamp": "1700000001"}, "WebhookSignatureMismatch"),
    ("stripe", {"stripe-signature": ""}, "WebhookHeaderMissing"),
    ("stripe", {"stripe-signature": "nonsense"}, "WebhookHeaderMalformed"),
    ("stripe", {"stripe-signature": "t=1700000000"}, "WebhookHeaderMalformed"),
    ("stripe", {"stripe-signature": "t=1700000000,v0=00"}, "WebhookHeaderMalformed"),
    ("stripe", {"stripe-signature": "v1=00"}, "WebhookHeaderMalformed"),
    ("stripe", {"stripe-signature": "t=now,v1=00"}, "WebhookHeaderMalformed"),
    ("stripe", {"stripe-signature": "t=1700000000,t=1700000001,v1=00"}, "WebhookHeaderMalformed"),
    ("stripe", {"stripe-signature": "t=1700000000,v1=\xe9"}, "WebhookSignatureMismatch"),
    ("github", {"x-hub-signature-256": ""}, "WebhookHeaderMissing"),
    ("github", {"x-hub-signature-256": "sha1=00"}, "WebhookHeaderMalformed"),
    ("github", {"x-hub-signature-256": "sha256=" + "0" * 64}, "WebhookSignatureMismatch"),
    ("github", {"x-hub-signature-256": "sha256="}, "WebhookSignatureMismatch"),
]


@pytest.mark.parametrize(("name", "changes", "code"), MALFORMED)
def test_what_is_wrong_is_named(name: str, changes: dict[str, str], code: str) -> None:
    assert refusal(HOOKS[name], {**signed(name), **changes}) == code


@pytest.mark.parametrize("name", HOOKS)
@given(junk=st.text(st.characters(max_codepoint=255, blacklist_characters="\r\n\0"), max_size=80), at=st.integers(0, 2))
def test_no_header_passes_or_breaks_the_check(name: str, junk: str, at: int) -> None:
    headers = signed(name)
    header = list(headers)[at % len(headers)]
    if junk.strip(" \t\r\n") != headers[header]:
        assert refusal(HOOKS[name], {**headers, header: junk}).startswith("Webhook")


def test_one_right_signature_of_several_is_enough() -> None:
    right = HOOKS["standard"].sign(BODY, at=NOW)["webhook-signature"]
    other = StandardWebhook(OTHER_SVIX_SECRET).sign(BODY, at=NOW)["webhook-signature"]
    for signatures in (f"{other} {right}", f"{right} {other}", f"v1a,xx {right}"):
        assert refusal(HOOKS["standard"], {**signed("standard"), "webhook-signature": signatures}) == ""
    stripe = signed("stripe")["stripe-signature"]
    assert refusal(HOOKS["stripe"], {"stripe-signature": f"{stripe},v1=00,v0=ff"}) == ""
    assert refusal(HOOKS["stripe"], {"stripe-signature": stripe.replace(",", ", v1=00,")}) == ""


def test_one_right_secret_of_several_is_enough() -> None:
    headers = StripeWebhook("old").sign(BODY, at=NOW)
    assert refusal(StripeWebhook(["new", "old"]), headers) == ""
    assert refusal(StripeWebhook(["new", "newer"]), headers) == "WebhookSignatureMismatch"


def test_svix_headers_and_a_secret_without_its_prefix() -> None:
    headers = StandardWebhook(SVIX_SECRET).sign(BODY, at=NOW, prefix="svix", id="msg_7")
    assert sorted(headers) == ["svix-id", "svix-signature", "svix-timestamp"]
    assert refusal(StandardWebhook(SVIX_SECRET.removeprefix("whsec_")), headers) == ""


def test_every_comparison_is_made_and_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    headers = {"stripe-signature": signed("stripe")["stripe-signature"] + ",v1=00,v1=11"}
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert refusal(StripeWebhook(["whsec_1", "other"]), headers) == ""
    assert len(compared) == 6, "two secrets with three signatures, although the first is right"


def test_many_signatures_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody makes a server hash a large body again and again."""
    digests: list[bytes] = []
    digest = hmac.digest

    def counted(key: bytes, content: bytes, kind: Any) -> bytes:
        digests.append(key)
        return digest(key, content, kind)

    monkeypatch.setattr(hmac, "digest", counted)
    headers = {"stripe-signature": "t=1700000000" + ",v1=00" * 1000}
    assert refusal(StripeWebhook(["whsec_1", "other"]), headers) == "WebhookSignatureMismatch"
    assert len(digests) == 2


BAD_SECRETS: list[tuple[type[Any], Any, str]] = [
    *((kind, "", "is empty") for kind in (StandardWebhook, StripeWebhook, GitHubWebhook)),
    (StripeWebhook, b"", "is empty"),
    (StripeWebhook, [], "list of them is empty"),
    (StripeWebhook, ["right", ""], "is empty"),
    (StripeWebhook, [None], "not NoneType"),
    (StripeWebhook, "whsec_SECRET\n", "a space or a line break"),
    (StandardWebhook, "whsec_", "not base64"),
    (StandardWebhook, "whsec_SECRET!", "not base64"),
    (StandardWebhook, "whpk_SECRET", "asymmetric"),
]


@pytest.mark.parametrize(("kind", "secret", "message"), BAD_SECRETS)
def test_secrets_that_cannot_be_used_are_refused_at_once(kind: type[Any], secret: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        kind(secret)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("name", HOOKS)
def test_neither_secrets_nor_right_signatures_are_told(name: str) -> None:
    hook = HOOKS[name]
    right = " ".join(signed(name).values())
    with pytest.raises(WebhookVerificationError) as raised:
        hook.check(BODY + b"!", signed(name), now=NOW)
    told = f"{raised.value} {raised.value.hint} {raised.value!r} {hook!r} {StripeWebhook(['whsec_1', 'b'])!r}"
    for secret in (
        SVIX_SECRET[6:],
        "whsec_1",
        *(word for word in right.replace("=", ",").split(",") if len(word) > 20),
    ):
        assert secret not in told


def request(body: Any = BODY, headers: dict[str, str] | None = None) -> Request:
    now = time.time() * 1000
    return Request(
        "https://some.convex.site/hook", method="POST", body=body, headers=headers or HOOKS["stripe"].sign(BODY, at=now)
    )


def test_the_body_stays_readable() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield BODY[:5]
        yield BODY[5:]

    async def story() -> None:
        for body in (BODY, parts()):
            sent = request(body)
            assert await HOOKS["stripe"].verify(sent) == BODY
            assert await HOOKS["stripe"].verify(sent) == BODY
            assert await sent.json() == {"type": "order.paid", "n": 1}

    asyncio.run(story())


def test_a_body_that_was_read_is_checked_by_hand() -> None:
    async def story() -> None:
        sent = request()
        body = await sent.bytes()
        with pytest.raises(TypeError, match="already read"):
            await HOOKS["stripe"].verify(sent)
        HOOKS["stripe"].check(body, sent.headers)

    asyncio.run(story())


def test_verify_raises_what_is_answered_with_400() -> None:
    async def story() -> None:
        with pytest.raises(RequestRefused) as raised:
            await HOOKS["stripe"].verify(request(headers={"x": "y"}))
        assert (raised.value.status, raised.value.code) == (400, "WebhookHeaderMissing")
        assert str(raised.value) == "The request has no header `stripe-signature`"

    asyncio.run(story())
