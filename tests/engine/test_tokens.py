"""`engine/auth/tokens.py`: every check of a token, with its code."""

import asyncio
import base64
import json
import random
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.clock import ManualClock
from pyconvex.engine.auth.identity import Identity
from pyconvex.engine.auth.tokens import TOKEN_BYTES_MAX, Tokens
from pyconvex.errors import RequestRefused
from pyconvex.functions.auth_config import AuthConfig, Provider, auth_config, custom_jwt, oidc
from support.oidc_server import OidcServer, oidc_server
from support.tokens import AUDIENCE, Issuer, SigningKey, any_tokens, data_uri, encoded, jwks, signing_key

NOW = 1_800_000_000
URL = "https://issuer.test"
RSA, EC, ED = signing_key("RS256"), signing_key("ES256"), signing_key("EdDSA")
STRANGER = {key.algorithm: signing_key(key.algorithm, "stranger") for key in (RSA, EC, ED)}


def claims(**given: Any) -> dict[str, Any]:
    """Good for an hour from `NOW`; None leaves a claim out."""
    known = {"iss": URL, "sub": "ada", "aud": AUDIENCE, "exp": NOW + 3600, **given}
    return {name: value for name, value in known.items() if value is not None}


def custom(*keys: SigningKey, algorithm: Any = "ES256", application_id: str | None = AUDIENCE) -> Provider:
    uri = data_uri(jwks(*(keys or (EC,))))
    return custom_jwt(issuer=URL, jwks=uri, algorithm=algorithm, application_id=application_id)


def verify(token: str, *providers: Provider, now: float = NOW) -> Identity:
    clock = ManualClock(now * 1000)
    return asyncio.run(Tokens(clock).verify(token, auth_config(*providers)))


def refused(token: str, *providers: Provider, now: float = NOW) -> tuple[int, str, str]:
    with pytest.raises(RequestRefused) as caught:
        verify(token, *providers, now=now)
    return caught.value.status, caught.value.code, caught.value.message


@dataclass(frozen=True)
class OidcWorld:
    """A provider on a port, and how its tokens fare."""

    server: OidcServer

    def claims(self, **given: Any) -> dict[str, Any]:
        return claims(**{"iss": self.server.url, **given})

    def verify(self, token: str, now: float = NOW) -> Identity:
        return verify(token, oidc(domain=self.server.url, application_id=AUDIENCE), now=now)

    def refused(self, token: str, now: float = NOW) -> tuple[int, str, str]:
        return refused(token, oidc(domain=self.server.url, application_id=AUDIENCE), now=now)


@pytest.fixture
def world() -> Any:
    with oidc_server() as server:
        server.publish(RSA, EC, ED)
        yield OidcWorld(server)


# --- custom providers


@pytest.mark.parametrize("key", [RSA, EC], ids=lambda key: key.algorithm)
def test_a_custom_provider_with_either_algorithm(key: SigningKey) -> None:
    token = key.sign(claims(name="Ada"))
    identity = verify(token, custom(key, algorithm=key.algorithm))
    assert identity.attributes == {
        "tokenIdentifier": f"{URL}|ada", "issuer": URL, "subject": "ada", "name": "Ada"
    }  # fmt: skip
    assert (identity.token, identity.kind, identity.is_admin) == (token, "user", False)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sub": None}, "Missing subject"),
        ({"sub": ""}, "Missing subject"),
        ({"sub": 7}, "Missing subject"),
        ({"exp": None}, "Missing expiry"),
        ({"exp": "soon"}, "`exp` is no point in time"),
        ({"exp": True}, "`exp` is no point in time"),
        ({"exp": 10**300}, "`exp` is no point in time"),
        ({"exp": NOW - 5}, "Token expired 5 seconds ago"),
        ({"exp": NOW - 3600}, "Token expired 3600 seconds ago"),
        ({"nbf": NOW + 6}, "Token will be valid in 6 seconds"),
        ({"nbf": [1]}, "`nbf` is no point in time"),
        ({"iss": None}, "Missing issuer"),
        ({"iss": 7}, "Missing issuer"),
        ({"deep": json.loads("[" * 80 + "]" * 80)}, "nested too deeply"),
        ({"deep": json.loads('{"a":' * 80 + "1" + "}" * 80)}, "nested too deeply"),
    ],
)
def test_claims_of_a_custom_provider(changed: dict[str, Any], reason: str) -> None:
    status, code, message = refused(forge(EC, claims(**changed)), custom())
    assert (status, code) == (401, "InvalidAuthHeader")
    assert reason in message


def forge(key: SigningKey, payload: object, header: object = None) -> str:
    """A well-signed token whose parts PyJWT would not make."""
    signed = f"{encoded(header or {'alg': key.algorithm, 'kid': key.kid})}.{encoded(payload)}"
    signature = jwt.get_algorithm_by_name(key.algorithm).sign(signed.encode(), key.private)
    return f"{signed}.{encoded(signature)}"


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW - 4.5},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 5},
        {"nbf": NOW - 100},
        {"iat": NOW + 1000},
        {"aud": [AUDIENCE, "another"]},
        {"iss": f"{URL}/"},
        {"iss": "issuer.test"},
        {"iss": "issuer.test/"},
        {"nonce": "x"},
    ],
)
def test_what_a_custom_provider_may_say(changed: dict[str, Any]) -> None:
    identity = verify(EC.sign(claims(**changed)), custom())
    assert identity.attributes is not None
    issuer = changed.get("iss", URL)
    assert identity.attributes["tokenIdentifier"] == f"{issuer}|ada"  # as the token has it


@pytest.mark.parametrize("aud", [None, "anything", ["a", "b"], 7])
def test_without_an_application_id_every_audience_will_do(aud: object) -> None:
    assert verify(forge(EC, claims(aud=aud)), custom(application_id=None)).attributes is not None


@pytest.mark.parametrize("aud", [None, "another", ["a", "b"], [], 7, [[AUDIENCE]], {AUDIENCE: 1}])
def test_another_audience_is_that_of_no_provider(aud: object) -> None:
    assert refused(forge(EC, claims(aud=aud)), custom())[:2] == (401, "NoAuthProvider")


@pytest.mark.parametrize("issuer", ["https://other.test", "http://issuer.test", f"{URL}/path", f"{URL}//", "x"])
def test_another_issuer_is_no_provider(issuer: str) -> None:
    status, code, message = refused(EC.sign(claims(iss=issuer)), custom())
    assert (status, code) == (401, "NoAuthProvider")
    assert issuer in message
    assert URL in message


def test_the_first_provider_that_fits_counts() -> None:
    second = custom_jwt(issuer=URL, jwks=data_uri(jwks(RSA)), algorithm="RS256", application_id="second")
    assert verify(EC.sign(claims()), custom(), second).attributes is not None
    assert verify(RSA.sign(claims(aud="second")), custom(), second).attributes is not None
    everyone = custom(RSA, algorithm="RS256", application_id=None)
    assert refused(EC.sign(claims()), everyone, custom())[1] == "InvalidAuthHeader"


def unsigned(header: dict[str, Any]) -> str:
    return f"{encoded(header)}.{encoded(claims())}.{encoded(b'x')}"


SIGNED: list[tuple[str, str]] = [
    (unsigned({"alg": "none", "kid": "key-1"}), "signed with none"),
    (unsigned({"alg": "None", "kid": "key-1"}), "signed with None"),
    (unsigned({"alg": "", "kid": "key-1"}), "signed with"),
    (unsigned({"kid": "key-1"}), "signed with None"),
    (unsigned({"alg": ["ES256"], "kid": "key-1"}), "signed with ['ES256']"),
    (unsigned({"alg": "ES256", "kid": "key-1"}), "Could not validate token"),
    (jwt.encode(claims(), "secret" * 8, "HS256", headers={"kid": "key-1"}), "signed with HS256"),
    (RSA.sign(claims()), "signed with RS256"),
    (ED.sign(claims()), "signed with EdDSA"),
    (EC.sign(claims(), {"kid": None}), "no `kid`"),
    (forge(EC, claims(), {"alg": "ES256", "kid": 7}), "no `kid`"),
    (EC.sign(claims(), {"kid": "unknown"}), "no ES256 key with kid 'unknown'"),
    (STRANGER["ES256"].sign(claims(), {"kid": "key-1"}), "Signature verification failed"),
    (forge(EC, claims(), {"alg": "ES256", "kid": "key-1", "crit": ["exp"]}), "crit"),
    (forge(EC, claims(), {"alg": "ES256", "kid": "key-1", "b64": False}), "b64"),
]


@pytest.mark.parametrize(("token", "reason"), SIGNED, ids=range(len(SIGNED)))  # keys differ between processes
def test_signatures_of_a_custom_provider(token: str, reason: str) -> None:
    status, code, message = refused(token, custom())
    assert (status, code) == (401, "InvalidAuthHeader")
    assert reason in message


def test_a_public_key_is_no_shared_secret() -> None:
    """The classic confusion: HMAC with the provider's public key as the secret."""
    public = json.dumps(RSA.jwk()).encode()
    signed = f"{encoded({'alg': 'HS256', 'kid': 'key-1'})}.{encoded(claims())}"
    signature = jwt.get_algorithm_by_name("HS256").sign(signed.encode(), public)
    token = f"{signed}.{encoded(signature)}"
    assert refused(token, custom(RSA, algorithm="RS256"))[1] == "InvalidAuthHeader"


GOOD = EC.sign(claims())


NO_TOKENS = [
    "", ".", "..", "a", "a.b", "a.b.c.d", f"{GOOD}.", f".{GOOD}", GOOD.replace(".", ".."), f"{GOOD} ", f" {GOOD}",
    f"{GOOD}=", GOOD.replace(".", ".="), "é.é.é", f"{encoded([])}.{encoded({})}.eA",
    *(f"{encoded({})}.{encoded(payload)}.eA" for payload in (
        "a", b"nul" * 3, b"[" * 9000, b'{"exp": NaN}', "{}".encode("utf-16"), b"9" * 5000,
        b"{}" + b" " * TOKEN_BYTES_MAX,
    )),
]  # fmt: skip


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_what_is_no_token(token: str) -> None:
    """Whether or not there is a provider."""
    for providers in ((), (custom(),)):
        assert refused(token, *providers)[:2] == (401, "InvalidAuthHeader")


def test_without_providers_no_token_counts() -> None:
    status, code, message = refused(GOOD)
    assert (status, code) == (401, "NoAuthProvider")
    assert message == "No auth provider found matching the given token (no providers are configured)."


UNFIT: list[dict[str, Any]] = [
    {"keys": [RSA.jwk()]},
    {"keys": [EC.jwk(use="enc")]},
    {"keys": [EC.jwk(alg="RS256")]},
    {"keys": [EC.jwk(key_ops=["sign"])]},
    {"keys": [EC.jwk(x="")]},
    {"keys": [EC.jwk(x="AAAA")]},
    {"keys": [EC.jwk(x=7)]},
    {"keys": [EC.jwk(crv="P-384")]},
    {"keys": [EC.jwk(kid=7)]},
    {"keys": [EC.jwk(kid=None)]},
    {"keys": [None, 7, "key", [], {}]},
    {"keys": [{"kty": "oct", "kid": "key-1", "k": "c2VjcmV0"}]},
]


@pytest.mark.parametrize("broken", UNFIT)
def test_keys_that_are_for_something_else_verify_nothing(broken: dict[str, Any]) -> None:
    provider = custom_jwt(issuer=URL, jwks=data_uri(broken), algorithm="ES256", application_id=AUDIENCE)
    status, code, message = refused(GOOD, provider)
    assert (status, code) == (401, "InvalidAuthHeader")
    assert "no ES256 key with kid 'key-1'" in message
    both = custom_jwt(issuer=URL, jwks=data_uri({"keys": [*broken["keys"], EC.jwk()]}), algorithm="ES256")
    assert verify(GOOD, both).attributes is not None  # the others of the set still count


def test_a_weak_key_verifies_nothing() -> None:
    weak = signing_key("RS256", "weak", bits=1024)
    assert "no RS256 key" in refused(forge(weak, claims()), custom(weak, algorithm="RS256"))[2]


def test_private_keys_in_a_set_are_taken_for_their_public_halves() -> None:
    private = {**jwt.get_algorithm_by_name("ES256").to_jwk(EC.private, as_dict=True), "kid": "key-1", "key_ops": None}
    assert "d" in private
    del private["key_ops"]
    provider = custom_jwt(issuer=URL, jwks=data_uri({"keys": [private]}), algorithm="ES256", application_id=AUDIENCE)
    assert verify(GOOD, provider).attributes is not None


# --- OpenID Connect


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
def test_openid_connect_with_each_algorithm(world: OidcWorld, key: SigningKey) -> None:
    identity = world.verify(key.sign(world.claims(given_name="Ada", org={"id": "o1"})))
    assert identity.attributes == {
        "tokenIdentifier": f"{world.server.url}|ada", "issuer": world.server.url, "subject": "ada", "givenName": "Ada",
        "org": {"id": "o1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sub": None}, "Missing subject"),
        ({"exp": None}, "Missing expiry"),
        ({"exp": NOW}, "Token expired 0 seconds ago"),
        ({"exp": NOW - 1}, "Token expired 1 seconds ago"),
        ({"nbf": NOW + 6}, "valid in 6 seconds"),
        ({"aud": [AUDIENCE, "another"]}, "several audiences"),
        ({"aud": [AUDIENCE, 7]}, "several audiences"),
    ],
)
def test_claims_of_openid_connect(world: OidcWorld, changed: dict[str, Any], reason: str) -> None:
    status, code, message = world.refused(EC.sign(world.claims(**changed)))
    assert (status, code) == (401, "Unauthenticated")
    assert message.startswith(
        "Could not verify OIDC token claim. Check that the token signature is valid and the token hasn't expired."
    )
    assert reason in message
    assert not world.server.asked  # nothing of this needs keys


@pytest.mark.parametrize(
    "changed", [{"exp": NOW + 0.5}, {"aud": [AUDIENCE]}, {"nbf": NOW + 5}, {"iat": NOW + 900}, {"nonce": "n"}]
)
def test_what_openid_connect_may_say(world: OidcWorld, changed: dict[str, Any]) -> None:
    assert world.verify(EC.sign(world.claims(**changed))).attributes is not None


def test_signatures_of_openid_connect(world: OidcWorld) -> None:
    good = world.claims()
    for key in (RSA, EC, ED):
        assert world.refused(STRANGER[key.algorithm].sign(good, {"kid": "key-1"}))[1] == "Unauthenticated"
        assert world.refused(STRANGER[key.algorithm].sign(good))[1] == "Unauthenticated"
    assert "signed with HS256" in world.refused(jwt.encode(good, "secret" * 8, "HS256", headers={"kid": "key-1"}))[2]
    assert "signed with none" in world.refused(f"{encoded({'alg': 'none'})}.{encoded(good)}.{encoded(b'x')}")[2]


def test_a_token_without_kid_is_verified_by_the_only_key(world: OidcWorld) -> None:
    token = EC.sign(world.claims(), {"kid": None})
    assert world.verify(token).attributes is not None
    world.server.publish(EC, STRANGER["ES256"])
    assert "without a `kid`" in world.refused(token)[2]


# --- time


@pytest.mark.parametrize(("is_oidc", "leeway"), [(False, 5), (True, 0)])
def test_a_token_counts_until_it_says_and_a_custom_one_five_seconds_longer(
    world: OidcWorld, is_oidc: bool, leeway: int
) -> None:
    async def story() -> None:
        clock = ManualClock(NOW * 1000)
        tokens = Tokens(clock)
        config = AuthConfig((oidc(domain=world.server.url, application_id=AUDIENCE) if is_oidc else custom(),))
        token = EC.sign(world.claims(exp=NOW + 60) if is_oidc else claims(exp=NOW + 60))
        identity = await tokens.verify(token, config)
        assert identity.expires == NOW + 60 + leeway
        clock.advance(59.9 + leeway)
        identity.check_fresh(clock.now_ms())
        assert (await tokens.verify(token, config)).expires == identity.expires
        clock.advance(0.2)
        with pytest.raises(RequestRefused) as caught:
            identity.check_fresh(clock.now_ms())
        assert (caught.value.status, caught.value.code) == (401, "TokenExpired")
        with pytest.raises(RequestRefused, match="Token expired"):
            await tokens.verify(token, config)

    asyncio.run(story())


# --- verified once


def test_a_signature_is_verified_once_for_each_key(world: OidcWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    original = jwt.PyJWS.decode_complete

    def counted(self: jwt.PyJWS, token: str, *given: Any, **named: Any) -> Any:
        verified.append(token)
        return original(self, token, *given, **named)

    async def story() -> None:
        clock = ManualClock(NOW * 1000)
        tokens = Tokens(clock)
        config = AuthConfig((oidc(domain=world.server.url, application_id=AUDIENCE),))
        token, other = EC.sign(world.claims()), EC.sign(world.claims(sub="eve"))
        forged = token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")
        for _ in range(3):
            assert (await tokens.verify(token, config)).attributes != (await tokens.verify(other, config)).attributes
            with pytest.raises(RequestRefused):
                await tokens.verify(forged, config)
        assert (verified.count(token), verified.count(other), verified.count(forged)) == (1, 1, 3)
        clock.advance(301)  # the same key, fetched again
        await tokens.verify(token, config)
        assert verified.count(token) == 2
        world.server.publish(STRANGER["ES256"])
        clock.advance(301)
        with pytest.raises(RequestRefused, match="no ES256 key"):
            await tokens.verify(token, config)
        monkeypatch.setattr("pyconvex.engine.auth.tokens.REMEMBERED_MAX", 2)
        for n in range(4):
            many = STRANGER["ES256"].sign(world.claims(sub=f"user-{n}"))
            assert (await tokens.verify(many, config)).token == many
        assert len(tokens._signed) == 2  # pyright: ignore[reportPrivateUsage]  # what is remembered is bounded

    monkeypatch.setattr(jwt.PyJWS, "decode_complete", counted)
    asyncio.run(story())


# --- anything at all


@settings(max_examples=200)
@given(any_tokens())
def test_any_text_is_refused_with_a_code(token: str) -> None:
    assert refused(token, custom())[:2] in {(401, "InvalidAuthHeader"), (401, "NoAuthProvider")}


@settings(max_examples=200)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from("AQgw_-.=é\0"), st.randoms(use_true_random=False))
def test_a_token_that_was_touched_is_not_accepted(at: int, character: str, chance: random.Random) -> None:
    touched = GOOD[:at] + character + GOOD[at + chance.randint(0, 2) :]
    if touched != GOOD:
        assert refused(touched, custom())[0] == 401


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), json_values, max_size=6))
def test_any_claims_make_an_identity_that_has_a_key(given: dict[str, Any]) -> None:
    payload = {**given, **claims()}
    for provider in (custom(), custom(application_id=None)):
        identity = verify(forge(EC, payload), provider)
        assert identity.attributes is not None
        assert identity.attributes["tokenIdentifier"] == f"{URL}|ada"
        assert identity.key == verify(forge(EC, dict(reversed(payload.items()))), provider).key


def test_issuers_for_other_tests_are_as_they_say() -> None:
    issuer = Issuer()
    names: dict[str, Any] = {}
    exec(issuer.config(), names)
    assert asyncio.run(Tokens(ManualClock()).verify(issuer.token(), names["default"])).attributes is not None
    assert base64.urlsafe_b64decode(issuer.token().split(".")[0] + "==").startswith(b"{")
