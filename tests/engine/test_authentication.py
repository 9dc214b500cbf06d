"""Who may say to be whom: identities, the admin key, and messages that carry either."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pyconvex.clock import ManualClock
from pyconvex.engine.auth.authentication import Authentication, TokenType
from pyconvex.engine.auth.identity import ADMIN, ANONYMOUS, SYSTEM, Identity, acting_as, unusable, user, verified
from pyconvex.engine.versions import Versions
from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.loading.registry import empty_registry
from support.tokens import Issuer

KEY = "chat|0123456789abcdef"
ADA = {"issuer": "https://convex.test", "subject": "ada", "name": "Ada"}
WITHOUT_PROVIDERS = Authentication(KEY, Versions(empty_registry(Path(), Path())), ManualClock())


def authenticate(token_type: TokenType, value: str | None, impersonating: Any = None) -> Identity:
    return asyncio.run(WITHOUT_PROVIDERS.authenticate(token_type, value, impersonating))


def encoded(attributes: object) -> str:
    return base64.b64encode(json.dumps(attributes).encode()).decode()


def test_what_clients_send() -> None:
    assert authenticate("None", None) is ANONYMOUS
    assert authenticate("Admin", KEY) is ADMIN
    for identity in (authenticate("Admin", KEY, ADA), authenticate("Admin", f"{KEY}:{encoded(ADA)}")):
        assert identity.is_admin
        assert identity.attributes == {**ADA, "tokenIdentifier": "https://convex.test|ada"}


@pytest.mark.parametrize(
    ("token_type", "value", "impersonating", "code"),
    [
        ("User", None, None, "InvalidAuthHeader"),
        ("User", "", None, "InvalidAuthHeader"),
        ("User", KEY, None, "InvalidAuthHeader"),
        ("User", Issuer().token(), None, "NoAuthProvider"),
        ("Admin", None, None, "BadAdminKey"),
        ("Admin", "", None, "BadAdminKey"),
        ("Admin", f"{KEY}0", None, "BadAdminKey"),
        ("Admin", f"{KEY}\ud800é", None, "BadAdminKey"),
        ("Admin", "chat|wrong", ADA, "BadAdminKey"),
        ("Admin", KEY, {}, "InvalidUserIdentity"),
        ("Admin", KEY, {"issuer": "x", "subject": 7}, "InvalidUserIdentity"),
        ("Admin", KEY, {**ADA, "n": 2**60}, "InvalidUserIdentity"),
        ("Admin", KEY, [ADA], "InvalidUserIdentity"),
        ("Admin", f"{KEY}:", None, "InvalidUserIdentity"),
        ("Admin", f"{KEY}:é", None, "InvalidUserIdentity"),
        ("Admin", f"{KEY}:{encoded('ada')}", None, "InvalidUserIdentity"),
    ],
)
def test_what_clients_may_not_send(token_type: TokenType, value: str | None, impersonating: Any, code: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        authenticate(token_type, value, impersonating)
    assert caught.value.code == code


def test_keys_tell_apart_what_a_query_could_read() -> None:
    nobody = [each.key for each in (ANONYMOUS, ADMIN, SYSTEM)]
    assert nobody == [None] * 3
    ada = user(ADA)
    backwards = dict(reversed([*(ada.attributes or {}).items()]))
    assert ada.key == verified(backwards, expires=7, token="a.b.c").key
    assert ada.key == acting_as(ADA).key  # they read the same
    others = [user({**ADA, "name": "Eve"}), user({**ADA, "n": 1}), user({**ADA, "n": 1.0}), user({**ADA, "n": True})]
    errors = [
        unusable(DeveloperError("A", "a")),
        unusable(DeveloperError("B", "a")),
        unusable(DeveloperError("A", "b")),
    ]
    assert len({each.key for each in [ada, *others, *errors]}) == 1 + len(others) + len(errors)


def test_a_token_is_in_no_text_about_its_identity() -> None:
    assert "secret" not in repr(verified({}, expires=7, token="secret"))


def test_only_tokens_expire() -> None:
    for identity in (ANONYMOUS, ADMIN, user(ADA)):
        identity.check_fresh(10**15)
    with pytest.raises(RequestRefused, match="expired"):
        verified({}, expires=7, token="").check_fresh(7000)
