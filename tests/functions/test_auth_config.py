"""What `auth_config`, `oidc` and `custom_jwt` take."""

from pathlib import Path
from typing import Any

import pytest

from pyconvex.errors import Remedy
from pyconvex.functions.auth_config import (
    AuthConfigError,
    CustomJwtProvider,
    OidcProvider,
    auth_config,
    custom_jwt,
    normalized_issuer,
    oidc,
)
from support.tokens import data_uri

DOMAIN: dict[str, Any] = {"domain": "https://auth.test", "application_id": "app"}
CUSTOM: dict[str, Any] = {"issuer": "https://auth.test", "jwks": "https://auth.test/keys", "algorithm": "RS256"}
MISSING = 'read a variable with `os.environ["NAME"]`: then a missing one is reported by its name'
URL_HINT = "write a URL such as 'https://auth.example.org'"


def custom(**given: Any) -> CustomJwtProvider:
    return custom_jwt(**{**CUSTOM, **given})


@pytest.mark.parametrize(
    ("domain", "issuer"),
    [
        ("https://auth.test", "https://auth.test"),
        ("https://auth.test/", "https://auth.test"),
        ("auth.test", "https://auth.test"),
        ("auth.test/", "https://auth.test"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("https://[::1]:4000/tenant/v2.0", "https://[::1]:4000/tenant/v2.0"),
        ("localhost:4000", "https://localhost:4000"),
    ],
)
def test_issuers_are_compared_with_a_scheme_and_without_a_slash(domain: str, issuer: str) -> None:
    assert oidc(domain=domain, application_id="app").issuer == issuer
    assert custom(issuer=domain).issuer == issuer
    assert normalized_issuer(domain) == normalized_issuer(issuer) == issuer


def test_providers_know_where_they_stand() -> None:
    here = Path(__file__).name
    config = auth_config(oidc(**DOMAIN), custom())
    one, two = config.providers
    assert isinstance(one, OidcProvider)
    assert isinstance(two, CustomJwtProvider)
    assert Path(one.place.file).name == Path(two.place.file).name == here
    assert (str(one), str(two)) == (
        "OIDC https://auth.test (application_id app)", "custom JWT https://auth.test (any audience)"
    )  # fmt: skip
    assert config == auth_config(oidc(**DOMAIN), custom())  # wherever that is written


def test_custom_issuers_need_not_be_addresses() -> None:
    assert custom(issuer="my-app").issuer == "https://my-app"


@pytest.mark.parametrize(
    ("given", "code", "message", "hint"),
    [
        ({"domain": None}, "AuthConfigIncomplete", "oidc(domain=...) is None", MISSING),
        ({"domain": ""}, "AuthConfigIncomplete", "oidc(domain=...) is empty", MISSING),
        ({"application_id": None}, "AuthConfigIncomplete", "oidc(application_id=...) is None", MISSING),
        ({"application_id": ""}, "AuthConfigIncomplete", "oidc(application_id=...) is empty", MISSING),
        ({"domain": 7}, "AuthConfigIncomplete", "oidc(domain=...) must be a text, not 7", "write a str"),
        (
            {"domain": " auth.test"}, "AuthConfigIncomplete", "oidc(domain=...) is ' auth.test', with space around it",
            "take the space away",
        ),
        (
            {"domain": "ftp://a.test"}, "BadUrl", "oidc(domain=...) is 'ftp://a.test', which is no URL of an issuer",
            "only http:// and https:// work here",
        ),
        ({"domain": "https://"}, "BadUrl", "oidc(domain=...) is 'https://', which is no URL of an issuer", URL_HINT),
        ({"domain": "a b"}, "BadUrl", "oidc(domain=...) is 'a b', which is no URL of an issuer", URL_HINT),
        ({"domain": "a\nb"}, "BadUrl", "oidc(domain=...) is 'a\\nb', which is no URL of an issuer", URL_HINT),
        ({"domain": "x:port"}, "BadUrl", "oidc(domain=...) is 'x:port', which is no URL of an issuer", URL_HINT),
        ({"domain": "[::1"}, "BadUrl", "oidc(domain=...) is '[::1', which is no URL of an issuer", URL_HINT),
        (
            {"domain": "https://auth.test?x=1"}, "BadUrl",
            "oidc(domain=...) is 'https://auth.test?x=1', which is no URL of an issuer",
            "leave out user, query and fragment",
        ),
        (
            {"domain": "a.test/.well-known/openid-configuration"}, "BadIssuer",
            "oidc(domain=...) is 'a.test/.well-known/openid-configuration', which is the address of a document",
            "give what stands before it: 'a.test'",
        ),
    ],
)  # fmt: skip
def test_oidc_says_what_is_wrong(given: dict[str, Any], code: str, message: str, hint: str) -> None:
    with pytest.raises(AuthConfigError) as caught:
        oidc(**(DOMAIN | given))
    assert (caught.value.code, caught.value.message, caught.value.hint) == (code, message, hint)
    awaited = Remedy.SET_VARIABLE if hint == MISSING else Remedy.SAVE_FILE
    assert caught.value.remedy is awaited
    assert isinstance(caught.value, ValueError)


JWKS, ALGORITHM = "custom_jwt(jwks=...) is", "custom_jwt(algorithm=...) is"
MUST = "but must be 'RS256' or 'ES256'"
NO_KEYS = "the data: URI in custom_jwt(jwks=...) holds no JWK set: "


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"issuer": None}, "AuthConfigIncomplete", "custom_jwt(issuer=...) is None"),
        ({"jwks": ""}, "AuthConfigIncomplete", "custom_jwt(jwks=...) is empty"),
        ({"application_id": ""}, "AuthConfigIncomplete", "custom_jwt(application_id=...) is empty"),
        ({"jwks": "auth.test/keys"}, "BadUrl", f"{JWKS} 'auth.test/keys', which is no URL of a JWK set"),
        ({"jwks": "file:///keys"}, "BadUrl", f"{JWKS} 'file:///keys', which is no URL of a JWK set"),
        ({"jwks": "https://a b"}, "BadUrl", f"{JWKS} 'https://a b', which is no URL of a JWK set"),
        ({"jwks": "data:x"}, "BadJwks", f"{NO_KEYS}a data: URI has a comma before its data"),
        ({"jwks": data_uri([])}, "BadJwks", f'{NO_KEYS}it has no list of "keys"'),
        ({"jwks": data_uri({"keys": []})}, "BadJwks", f'{NO_KEYS}it has no list of "keys"'),
        ({"algorithm": "HS256"}, "BadAlgorithm", f"{ALGORITHM} 'HS256', {MUST}"),
        ({"algorithm": "EdDSA"}, "BadAlgorithm", f"{ALGORITHM} 'EdDSA', {MUST}"),
        ({"algorithm": None}, "BadAlgorithm", f"{ALGORITHM} None, {MUST}"),
        ({"algorithm": ["RS256"]}, "BadAlgorithm", f"{ALGORITHM} ['RS256'], {MUST}"),
    ],
)  # fmt: skip
def test_custom_jwt_says_what_is_wrong(given: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(AuthConfigError) as caught:
        custom(**given)
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize("uri", ["data:;base64,!!", "data:,nonsense", "data:,%ff"])
def test_data_uris_that_hold_nothing(uri: str) -> None:
    with pytest.raises(AuthConfigError, match="holds no JWK set"):
        custom(jwks=uri)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (None, "auth_config() takes providers, not None", "make each with `oidc(...)` or `custom_jwt(...)`"),
        (oidc, "auth_config() takes providers, not the function `oidc`", "call it: `oidc(...)`"),
        ([], "auth_config() takes providers, not a list", "give them one by one: `auth_config(*providers)`"),
        (
            {"providers": []}, "auth_config() takes providers, not a dict",
            "give the providers themselves: `auth_config(oidc(...), custom_jwt(...))`",
        ),
        ({"domain": "x", "applicationID": "y"}, "auth_config() takes providers, not a dict",
         "write `oidc(domain=..., application_id=...)`"),
        ({"type": "customJwt"}, "auth_config() takes providers, not a dict",
         "write `custom_jwt(issuer=..., jwks=..., algorithm=..., application_id=...)`"),
    ],
)  # fmt: skip
def test_auth_config_takes_providers(given: Any, message: str, hint: str) -> None:
    with pytest.raises(AuthConfigError) as caught:
        auth_config(oidc(**DOMAIN), given)
    assert (caught.value.message, caught.value.hint) == (message, hint)
