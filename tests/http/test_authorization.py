"""`http/authorization.py`: every form of the Authorization header."""

import asyncio
import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pyconvex.clock import ManualClock
from pyconvex.engine.auth.authentication import Authentication
from pyconvex.engine.auth.identity import ADMIN, ANONYMOUS, Identity
from pyconvex.engine.versions import Versions
from pyconvex.errors import RequestRefused
from pyconvex.http import authorization
from pyconvex.http.deployment import Deployment
from pyconvex.loading.registry import empty_registry
from support.tokens import Issuer

KEY = "chat|0123456789abcdef"
ADA = {"issuer": "https://convex.test", "subject": "ada", "name": "Ada"}
AUTHENTICATION = Authentication(KEY, Versions(empty_registry(Path(), Path())), ManualClock())
DEPLOYMENT = cast("Deployment", SimpleNamespace(authentication=AUTHENTICATION))


def identify(header: bytes | None, query_key: str | None = None) -> Identity:
    return asyncio.run(authorization.identify(header, DEPLOYMENT, query_key=query_key))


def encoded(attributes: object) -> bytes:
    return base64.b64encode(json.dumps(attributes).encode())


def test_nobody() -> None:
    assert identify(None) is ANONYMOUS


@pytest.mark.parametrize("scheme", [b"Convex", b"convex", b"CONVEX"])
def test_the_admin_key(scheme: bytes) -> None:
    assert identify(scheme + b" " + KEY.encode()) is ADMIN


def test_the_admin_key_in_the_query_counts_only_without_a_header() -> None:
    assert identify(None, KEY) is ADMIN
    with pytest.raises(RequestRefused):
        identify(b"Convex wrong-key", KEY)


def test_acting_as_a_user() -> None:
    identity = identify(b"Convex " + KEY.encode() + b":" + encoded(ADA))
    assert identity.is_admin
    assert identity.attributes is not None
    assert identity.attributes["tokenIdentifier"] == "https://convex.test|ada"


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (b"a", 400, "InvalidHeaderFailure"),
        (b"", 400, "InvalidHeaderFailure"),
        (b"Bearer \xc3\xa9\xc3\xa9", 400, "HeaderParseFailure"),
        (b"Basic dXNlcjpwYXNz", 400, "InvalidAdminKey"),
        (b"ApiKey 0123456789", 400, "InvalidAdminKey"),
        (b"Bearer not-a-token", 401, "InvalidAuthHeader"),
        (b"Bearer a..c", 401, "InvalidAuthHeader"),
        (b"Bearer aaaa.bbbb.cccc", 401, "InvalidAuthHeader"),
        (b"bEARER   " + Issuer().token().encode(), 401, "NoAuthProvider"),
        (b"Convex chat|wrong", 401, "BadAdminKey"),
        (b"Convex 0123456789abcdef", 401, "BadAdminKey"),
        (b"Convex other|0123456789abcdef", 401, "BadAdminKey"),
        (b"Convex chat|wrong:" + encoded(ADA), 401, "BadAdminKey"),
        (b"Convex " + KEY.encode() + b":%%%", 400, "InvalidUserIdentity"),
        (b"Convex " + KEY.encode() + b":" + encoded([1]), 400, "InvalidUserIdentity"),
        (b"Convex " + KEY.encode() + b":" + encoded({"name": "Ada"}), 400, "InvalidUserIdentity"),
        (b"Convex " + KEY.encode() + b":" + base64.b64encode(b"[" * 100_000), 400, "InvalidUserIdentity"),
    ],
)
def test_refusals(header: bytes, status: int, code: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        identify(header)
    assert (caught.value.status, caught.value.code) == (status, code)
    lenient = asyncio.run(authorization.identify_leniently(header, DEPLOYMENT))
    assert lenient.error is not None
    assert lenient.error.code == code
    assert not lenient.is_admin
