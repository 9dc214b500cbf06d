"""`Cors`: who may call, what a preflight answers, what other responses get."""

from typing import Any

import pytest

from pyconvex.server import Cors, Headers

ASKING = {"origin": "https://my.site", "access-control-request-method": "POST"}

ORIGINS: list[tuple[list[str], str, bool]] = [
    (["*"], "https://any.site", True),
    (["https://my.site"], "https://my.site", True),
    (["https://My.Site"], "https://my.site", True),
    (["https://my.site"], "http://my.site", False),
    (["https://my.site"], "https://my.site:8443", False),
    (["https://my.site"], "https://my.site.evil.org", False),
    (["https://*.my.site"], "https://a.my.site", True),
    (["https://*.my.site"], "https://a.b.my.site", True),
    (["https://*.my.site"], "https://my.site", False),
    (["https://*.my.site"], "https://evilmy.site", False),
    (["https://*.my.site"], "https://evil.org/.my.site", False),
    (["http://localhost:5173"], "http://localhost:5173", True),
    (["https://my.site"], "null", False),
    (["null"], "null", True),
    (["tauri://localhost"], "tauri://localhost", True),
    ([], "https://my.site", False),
]


@pytest.mark.parametrize(("origins", "origin", "allowed"), ORIGINS)
def test_which_origins_are_allowed(origins: list[str], origin: str, allowed: bool) -> None:
    cors = Cors(origins=origins)
    assert cors.allows(origin) is allowed
    headers = Headers()
    cors.decorate(headers, origin)
    assert headers.get("access-control-allow-origin") == (("*" if "*" in origins else origin) if allowed else None)
    assert headers.get("vary") == (None if "*" in origins else "Origin")


def test_a_preflight() -> None:
    cors = Cors(origins=["https://my.site"], headers=["X-Key", "Content-Type"], credentials=True, max_age=60)
    response = cors.preflight(Headers(ASKING), ["GET", "POST"])
    assert response is not None
    assert response.status == 204
    assert dict(response.headers.items()) == {
        "access-control-allow-credentials": "true",
        "access-control-allow-headers": "X-Key, Content-Type",
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-origin": "https://my.site",
        "access-control-max-age": "60",
        "vary": "Origin",
    }


def test_all_headers_that_are_asked_for() -> None:
    cors = Cors(origins=["*"], headers=["*"])
    asking = {**ASKING, "access-control-request-headers": "authorization,x-key, ,b ad"}
    response = cors.preflight(Headers(asking), ["POST"])
    assert response is not None
    assert response.headers["access-control-allow-headers"] == "authorization, x-key"
    plain = cors.preflight(Headers(ASKING), ["POST"])
    assert plain is not None
    assert "access-control-allow-headers" not in plain.headers


def test_its_arguments_make_it_again() -> None:
    given: dict[str, Any] = {
        "origins": ["https://my.site"],
        "headers": ["X-Key"],
        "credentials": True,
        "max_age": 60,
        "expose_headers": ["X-Total"],
    }
    assert Cors(**given).arguments == given
    assert Cors(**Cors(["*"]).arguments).arguments == Cors(["*"]).arguments


def test_a_preflight_of_a_stranger_is_answered_without_leave() -> None:
    response = Cors(origins=["https://other.site"]).preflight(Headers(ASKING), ["GET"])
    assert response is not None
    assert (response.status, dict(response.headers.items())) == (204, {"vary": "Origin"})


@pytest.mark.parametrize("missing", list(ASKING))
def test_other_options_requests_are_no_preflight(missing: str) -> None:
    headers = Headers({name: value for name, value in ASKING.items() if name != missing})
    assert Cors(origins=["*"]).preflight(headers, ["GET"]) is None


DECORATED: list[tuple[dict[str, Any], dict[str, str], str | None, dict[str, str]]] = [
    ({}, {}, None, {"vary": "Origin"}),
    (
        {},
        {"vary": "accept"},
        "https://my.site",
        {"vary": "accept, Origin", "access-control-allow-origin": "https://my.site"},
    ),
    ({}, {"vary": "origin"}, "https://no.site", {"vary": "origin"}),
    (
        {},
        {"access-control-allow-origin": "*"},
        "https://my.site",
        {"access-control-allow-origin": "*", "vary": "Origin"},
    ),
    (
        {"expose_headers": ["X-Total"]},
        {},
        "https://my.site",
        {
            "access-control-allow-origin": "https://my.site",
            "access-control-expose-headers": "X-Total",
            "vary": "Origin",
        },
    ),
]


@pytest.mark.parametrize(("options", "before", "origin", "after"), DECORATED)
def test_headers_of_other_responses(
    options: dict[str, Any], before: dict[str, str], origin: str | None, after: dict[str, str]
) -> None:
    headers = Headers(before)
    Cors(origins=["https://my.site"], **options).decorate(headers, origin)
    assert dict(headers.items()) == after


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"origins": ["my.site"]}, ValueError, "'my.site' is no origin"),
    ({"origins": ["https://my.site/"]}, ValueError, "without a path"),
    ({"origins": ["https://my.site/app"]}, ValueError, "without a path"),
    ({"origins": ["https://my.site:99999"]}, ValueError, "is no origin"),
    ({"origins": ["https://my.site:443"]}, ValueError, "browsers write it as 'https://my.site'"),
    ({"origins": ["https://*.my.site:443"]}, ValueError, "browsers write it as 'https://*.my.site'"),
    ({"origins": ["https://bücher.de"]}, ValueError, "browsers write it as 'https://xn--bcher-kva.de'"),
    ({"origins": ["*"], "credentials": True}, ValueError, "browsers refuse '*' with credentials"),
    ({"origins": "https://my.site"}, TypeError, "write ['https://my.site']"),
    ({"origins": ["*"], "headers": "X-Key"}, TypeError, "Cors(headers=...) takes a list"),
    ({"origins": ["*"], "headers": ["X Key"]}, ValueError, "'X Key' is not a valid header name"),
    ({"origins": ["*"], "expose_headers": ["a\nb"]}, ValueError, "is not a valid header name"),
    ({"origins": ["*"], "max_age": -1}, ValueError, "Cors(max_age=-1) takes whole seconds"),
    ({"origins": ["*"], "max_age": "1d"}, ValueError, "Cors(max_age='1d') takes whole seconds"),
    (
        {"origins": ["https://my.site"], "credentials": True, "expose_headers": ["*"]},
        ValueError,
        "Cors(credentials=True) needs expose_headers by name",
    ),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_is_no_cors(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Cors(**options)
    assert message in str(caught.value)
