"""`http/proxies.py`: forwarded headers are believed from trusted addresses only, and hosts may be limited."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pyconvex.errors import RequestRefused
from pyconvex.http.proxies import HOST, Proxies, host_of
from pyconvex.settings import BadSetting, resolve_settings
from support.served import Served, run, served

PROXY = "10.0.0.1"


def scope(headers: Sequence[tuple[str, str]], peer: str = PROXY) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http", "scheme": "http", "client": (peer, 999), "headers": raw}


def believed(headers: Mapping[str, str], peer: str = PROXY, trusted: Sequence[str] = ("10.0.0.0/8",)) -> dict[str, Any]:
    """What is different about a request after the proxy was heard."""
    asked = scope([("host", "inner"), *headers.items()], peer)
    before = dict(asked)
    Proxies(trusted).believe(asked)
    return {name: value for name, value in asked.items() if before.get(name) != value}


ALL = {
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "my.site",
    "forwarded": "for=192.0.2.9;proto=http;host=other.site",
}
TWO = {"client": ("192.0.2.1", 0)}
"""Behind two proxies."""
SEEN = {"client": ("192.0.2.1", 0), "scheme": "https", HOST: b"my.site"}


@pytest.mark.parametrize(
    ("peer", "trusted", "expected"),
    [
        (PROXY, ["10.0.0.0/8"], SEEN),
        (PROXY, ["10.0.0.1"], SEEN),
        ("::ffff:10.0.0.1", ["10.0.0.1"], SEEN),
        ("2001:db8::7", ["2001:db8::/32"], SEEN),
        ("203.0.113.5", ["*"], SEEN),
        ("11.0.0.1", ["10.0.0.0/8"], {}),
        ("2001:db9::7", ["2001:db8::/32"], {}),
        ("not-an-address", ["*"], {}),
        (PROXY, [], {}),
    ],
)
def test_whose_word_counts(peer: str, trusted: list[str], expected: dict[str, Any]) -> None:
    assert believed(ALL, peer, trusted) == expected


def test_nobody_is_believed_whose_address_is_unknown() -> None:
    asked = {**scope(list(ALL.items())), "client": None}
    Proxies(["*"]).believe(asked)
    assert HOST not in asked


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-forwarded-for": "192.0.2.1"}, {"client": ("192.0.2.1", 0)}),
        ({"x-forwarded-for": "192.0.2.1:47"}, {"client": ("192.0.2.1", 47)}),
        ({"x-forwarded-for": "[2001:db8::1]:47"}, {"client": ("2001:db8::1", 47)}),
        ({"x-forwarded-for": "2001:db8::1"}, {"client": ("2001:db8::1", 0)}),
        ({"x-forwarded-for": "6.6.6.6, 192.0.2.1, 10.0.0.2"}, {"client": ("192.0.2.1", 0)}),
        ({"x-forwarded-for": "10.0.0.3, 10.0.0.2"}, {"client": ("10.0.0.3", 0)}),
        ({"x-forwarded-for": "6.6.6.6, unknown"}, {}),
        ({"x-forwarded-for": "6.6.6.6, <script>"}, {}),
        ({"x-forwarded-for": ""}, {}),
        ({"x-forwarded-proto": "HTTPS"}, {"scheme": "https"}),
        ({"x-forwarded-proto": "https, http", "x-forwarded-for": "192.0.2.1, 10.0.0.2"}, TWO | {"scheme": "https"}),
        ({"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1, 10.0.0.2"}, TWO | {"scheme": "https"}),
        ({"x-forwarded-proto": "javascript"}, {}),
        ({"x-forwarded-host": "my.site:8080"}, {HOST: b"my.site:8080"}),
        ({"x-forwarded-host": "my.site, inner", "x-forwarded-for": "192.0.2.1, 10.0.0.2"}, TWO | {HOST: b"my.site"}),
        (
            {"forwarded": 'for="[2001:db8::1]:47";proto=https;host="my.site"'},
            {"client": ("2001:db8::1", 47), "scheme": "https", HOST: b"my.site"},
        ),
        ({"forwarded": "For=6.6.6.6, for=192.0.2.1;Proto=https"}, {"client": ("192.0.2.1", 0), "scheme": "https"}),
        ({"forwarded": "for=6.6.6.6, for=_hidden"}, {}),
        ({"forwarded": "notproto=https"}, {}),
    ],
)
def test_what_they_say(headers: dict[str, str], expected: dict[str, Any]) -> None:
    assert believed(headers) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-forwarded-proto": "https, http", "x-forwarded-host": "evil, my.site"}, {HOST: b"my.site"}),
        ({"x-forwarded-for": "6.6.6.6, 192.0.2.1", "x-forwarded-host": "evil, my.site"}, TWO | {HOST: b"my.site"}),
        ({"x-forwarded-for": "192.0.2.1", "forwarded": "for=6.6.6.6;proto=https;host=evil"}, TWO),
        ({"forwarded": "for=6.6.6.6;proto=https;host=evil, for=192.0.2.1;proto=http"}, TWO),
        ({"forwarded": 'for=6.6.6.6;host="evil, for=192.0.2.1;host=my.site'}, TWO | {HOST: b"my.site"}),
    ],
)
def test_what_a_client_made_up_before_a_proxy_added_to_it(headers: dict[str, str], expected: dict[str, Any]) -> None:
    assert believed(headers) == expected


def test_headers_that_came_in_several_lines_are_one_list() -> None:
    asked = scope([("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.1")])
    Proxies([PROXY]).believe(asked)
    assert asked["client"] == ("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("host", "allowed", "served_here"),
    [
        ("my.site", ["my.site"], True),
        ("MY.site:3211", ["my.site"], True),
        ("a.my.site", ["*.my.site"], True),
        ("a.b.my.site", ["*.my.site"], True),
        ("my.site", ["*.my.site"], False),
        ("evilmy.site", ["*.my.site"], False),
        ("my.site.evil", ["my.site"], False),
        ("[::1]:3211", ["[::1]"], True),
        ("anything", ["*"], True),
        ("", ["my.site"], False),
        ("other", ["my.site"], False),
    ],
)
def test_hosts(host: str, allowed: list[str], served_here: bool) -> None:
    proxies = Proxies(hosts=allowed)
    if served_here:
        proxies.check_host(scope([("host", host)]))
    else:
        with pytest.raises(RequestRefused) as caught:
            proxies.check_host(scope([("host", host)]))
        assert (caught.value.status, caught.value.code) == (421, "HostNotAllowed")


def test_the_host_is_that_which_the_proxy_was_asked_for() -> None:
    asked = scope([("host", "inner"), ("x-forwarded-host", "my.site")])
    assert host_of(asked) == b"inner"
    Proxies([PROXY], ["my.site"]).believe(asked)
    assert host_of(asked) == b"my.site"


@pytest.mark.parametrize("value", ["10.0.0.0/33", "proxy.local", "10.0.0.1/8", "1.2.3"])
def test_settings_that_name_no_network(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadSetting, match=r"--trusted-proxy is .*must be addresses or networks"):
        resolve_settings(tmp_path, {"trusted_proxies": [value]})


def test_settings_that_name_no_host(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"PYCONVEX_ALLOWED_HOSTS is .*must be names of hosts"):
        resolve_settings(tmp_path, environ={"PYCONVEX_ALLOWED_HOSTS": "my.site, https://my.site/"})


def test_settings_from_everywhere(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.pyconvex]\nallowed-hosts = ["my.site", "*.my.site"]\n')
    settings = resolve_settings(tmp_path, environ={"PYCONVEX_TRUSTED_PROXIES": "10.0.0.0/8, ::1"})
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert settings.allowed_hosts == ("my.site", "*.my.site")
    assert resolve_settings(tmp_path, {"trusted_proxies": ["127.0.0.1"]}).trusted_proxies == ("127.0.0.1",)


HTTP = """
from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path_prefix="/", method="GET")
async def get(ctx, request: Request):
    return Response.json([str(request.url), request.client.host, request.headers.get("host")])


async def mounted(scope, receive, send):
    text = f"{scope['scheme']} {scope['client'][0]}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


http.mount("/mounted/", mounted)
default = http
"""
FORWARDED = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-host": "my.site"}


async def answer(server: Served, headers: Mapping[str, str] = FORWARDED) -> list[str]:
    return (await server.send("/a?b", headers={"host": "inner", **headers})).json


def test_a_deployment_believes_nobody_by_default(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}) as server:
            assert await answer(server) == ["http://inner/a?b", "127.0.0.1", "inner"]
            assert await answer(server, {"forwarded": "proto=https;host=my.site"}) == await answer(server, {})

    run(story)


def test_a_deployment_behind_a_proxy(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}, trusted_proxies=("127.0.0.0/8",)) as server:
            assert await answer(server) == ["https://my.site/a?b", "192.0.2.1", "inner"]
            assert (await server.send("/mounted/x", headers=FORWARDED)).text == "https 192.0.2.1"
            refused = await server.send("/a", headers={"x-forwarded-host": "no host"})
            assert (refused.status, refused.json["code"]) == (400, "BadHost")

    run(story)


def test_a_deployment_for_certain_hosts(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}, allowed_hosts=("my.site",)) as server:
            assert (await server.send("/a", headers={"host": "my.site:80"})).status == 200
            for api in (False, True):
                refused = await server.send("/a", headers={"host": "rebound.example"}, api=api)
                assert (refused.status, refused.json["code"]) == (421, "HostNotAllowed")
            assert (await server.send("/health", headers={"host": "10.1.2.3"}, api=True)).status == 200
            upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
            key = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
            refused = await server.send("/api/sync", headers={"host": "rebound.example", **upgrade, **key}, api=True)
            assert refused.status == 421

    run(story)
