"""From claims to the fields of an identity."""

import json
from typing import Any

import pytest

from pyconvex.engine.auth.claims import TooNested, custom_attributes, oidc_attributes

WHO = {"iss": "https://issuer.test/", "sub": "u_17"}
SEEN = {"tokenIdentifier": "https://issuer.test/|u_17", "issuer": "https://issuer.test/", "subject": "u_17"}

STANDARD = [
    ("name", "Ada Lovelace", "name"),
    ("given_name", "Ada", "givenName"),
    ("family_name", "Lovelace", "familyName"),
    ("nickname", "ada", "nickname"),
    ("preferred_username", "ada1815", "preferredUsername"),
    ("profile", "https://x.test/ada", "profileUrl"),
    ("picture", "https://x.test/ada.png", "pictureUrl"),
    ("website", "https://ada.test", "websiteUrl"),
    ("email", "ada@x.test", "email"),
    ("email_verified", True, "emailVerified"),
    ("gender", "female", "gender"),
    ("birthdate", "1815-12-10", "birthday"),
    ("zoneinfo", "Europe/London", "timezone"),
    ("locale", "en-GB", "language"),
    ("phone_number", "+44 1", "phoneNumber"),
    ("phone_number_verified", False, "phoneNumberVerified"),
]


@pytest.mark.parametrize(("claim", "value", "field"), STANDARD)
def test_standard_claims_have_convex_names_or_their_own(claim: str, value: object, field: str) -> None:
    assert oidc_attributes({**WHO, claim: value}) == {**SEEN, field: value}
    assert custom_attributes({**WHO, claim: value}) == {**SEEN, claim: value}


@pytest.mark.parametrize("claim", [claim for claim, _, _ in STANDARD])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}])
def test_a_standard_claim_of_another_type_is_left_out(claim: str, value: object) -> None:
    assert oidc_attributes({**WHO, claim: value}) == SEEN


@pytest.mark.parametrize(
    ("claims", "fields"),
    [
        ({"email_verified": "true"}, {"emailVerified": True}),
        ({"email_verified": "false"}, {"emailVerified": False}),
        ({"email_verified": "yes"}, {}),
        ({"address": {"formatted": "1 Road\nLondon", "locality": "London"}}, {"address": "1 Road\nLondon"}),
        ({"address": {"locality": "London"}}, {}),
        ({"address": "London"}, {}),
        ({"updated_at": 0}, {"updatedAt": "1970-01-01T00:00:00+00:00"}),
        ({"updated_at": 1767225600}, {"updatedAt": "2026-01-01T00:00:00+00:00"}),
        ({"updated_at": "2026-01-01T00:00:00Z"}, {"updatedAt": "2026-01-01T00:00:00+00:00"}),
        ({"updated_at": "2026-01-01"}, {}),
        ({"updated_at": "yesterday"}, {}),
        ({"updated_at": 1e300}, {}),
        ({"updated_at": True}, {}),
        ({"org": {"id": "o1", "roles": ["a"]}}, {"org": {"id": "o1", "roles": ["a"]}}),
        ({"https://x.test/roles": ["chief"]}, {"https://x.test/roles": ["chief"]}),
        ({"$odd": 1, "": 2, "ö": None}, {"$odd": 1, "": 2, "ö": None}),
        ({"n": 2**53 + 1, "m": -(2**60), "x": 10**400}, {"n": 2.0**53, "m": -(2.0**60), "x": float("inf")}),
        ({"jti": "1", "nbf": 1, "fva": [1, 2], "aud": "a", "exp": 1, "iat": 1, "nonce": "n"}, {}),
        ({"azp": "a", "acr": "0", "amr": ["pwd"], "auth_time": 1, "at_hash": "h", "c_hash": "h"}, {}),
        ({"tokenIdentifier": "root", "subject": "root", "issuer": "root", "givenName": "Eve"}, {}),
        ({"sid": "s", "role": "chief"}, {"sid": "s", "role": "chief"}),
    ],
)
def test_claims_of_openid_connect(claims: dict[str, Any], fields: dict[str, Any]) -> None:
    assert oidc_attributes({**WHO, **claims}) == {**SEEN, **fields}


@pytest.mark.parametrize(
    ("claims", "fields"),
    [
        ({"properties": {"id": "p1", "of": {"x": 1}}}, {"properties.id": "p1", "properties.of.x": 1}),
        ({"roles": [{"a": 1}], "none": None, "empty": {}}, {"roles": [{"a": 1}], "none": None}),
        ({"address": {"formatted": "London"}}, {"address.formatted": "London"}),
        ({"updated_at": 0, "givenName": "Ada"}, {"updated_at": 0, "givenName": "Ada"}),
        ({"jti": "1", "nbf": 1, "fva": [1, 2], "aud": "a", "exp": 1, "iat": 1}, {}),
        ({"nonce": "n", "azp": "a"}, {"nonce": "n", "azp": "a"}),
        ({"tokenIdentifier": "root", "subject": "root", "issuer": "root"}, {}),
        ({"n": 2**60}, {"n": 2.0**60}),
    ],
)
def test_claims_of_a_custom_provider(claims: dict[str, Any], fields: dict[str, Any]) -> None:
    assert custom_attributes({**WHO, **claims}) == {**SEEN, **fields}


@pytest.mark.parametrize("make", [oidc_attributes, custom_attributes])
def test_claims_are_copied_and_only_so_deep(make: Any) -> None:
    roles: list[Any] = ["chief"]
    attributes = make({**WHO, "roles": roles})
    roles.append("fool")
    assert attributes["roles"] == ["chief"]
    assert make({**WHO, "deep": json.loads("[" * 64 + "]" * 64)})
    for opening, closing in (("[", "]"), ('{"a":', "1}")):
        with pytest.raises(TooNested):
            make({**WHO, "deep": json.loads(opening * 65 + closing[:-1] + closing[-1] * 65)})
