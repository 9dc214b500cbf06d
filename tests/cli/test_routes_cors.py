"""`pyconvex routes --cors ORIGIN "POST /x"`: what a browser would do, with and without a running server."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.command import command
from support.dev import Ran, dev, wait_until

HTTP = """\
import os

from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/plain", method="POST")
async def plain(ctx, request: Request) -> Response:
    return Response("x")


@http.route(path="/own", method="POST")
async def own(ctx, request: Request) -> Response:
    print("it ran")
    return Response("x", headers={"Access-Control-Allow-Origin": os.environ.get("CLIENT_ORIGIN", "https://my.site")})


@http.route(path="/own", method="OPTIONS")
async def own_options(ctx, request: Request) -> Response:
    headers = {"Access-Control-Allow-Origin": "https://my.site", "Access-Control-Allow-Methods": "POST"}
    return Response(None, headers=headers)


@http.route(path="/list", method="GET")
async def listed(ctx, request: Request) -> Response:
    async def parts():
        while True:
            yield "x"

    status = int(request.url.search_params.get("status", "200"))
    return Response(parts(), status=status, headers={"Access-Control-Allow-Origin": "https://my.site", "X-Total": "7"})


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


http.mount("/mounted/", app)
default = http
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/http.py").write_text(HTTP)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "0"\n')
    return tmp_path


def test_a_request_that_is_blocked(project: Path) -> None:
    assert command("routes", "--cors", "https://my.site", "post /plain?x=1", folder=project) == Ran(
        1,
        "POST /plain from a page of https://my.site (content-type: application/json)\n"
        "  1  the browser asks first (a preflight), because of the content type application/json\n"
        "     OPTIONS /plain\n"
        "     access-control-request-method: POST\n"
        "     access-control-request-headers: content-type\n"
        "     → 404 because nothing answers OPTIONS here\n"
        "     ✖ the status is 404, and a preflight needs one from 200 to 299\n"
        "     ✖ access-control-allow-origin is missing\n"
        "     ✖ access-control-allow-headers is missing, and has to name content-type\n"
        "✖ blocked by the preflight: the request is never sent\n"
        'hint: write http_router(cors=Cors(origins=["https://my.site"])) in http.py\n',
        "",
    )


def test_a_request_that_is_allowed(project: Path) -> None:
    assert command("routes", "--cors", "https://MY.site:443/", "/list", folder=project) == Ran(
        0,
        "GET /list from a page of https://my.site\n"
        "  1  the browser sends it at once, it needs no preflight\n"
        "     → 200 from http:listed (convex/http.py:25)\n"
        "     access-control-allow-origin: https://my.site\n"
        "     ✔ the page may read the answer\n"
        "     the page cannot read x-total: access-control-expose-headers does not name them\n"
        "     unless all pages get this very answer, add `vary: Origin`: caches keep it\n"
        "✔ allowed\n",
        "",
    )


def test_what_would_change_something_is_not_sent(project: Path) -> None:
    words = ["routes", "--cors", "https://my.site", "POST /own", "--header", "content-type: text/plain"]
    ran = command(*words, folder=project)
    assert ran.exit_code == 0
    assert "? not known; `--send` sends the request\n" in ran.stdout
    assert ran.stdout.endswith("? the preflight is no obstacle; the answer itself was not looked at\n")
    assert "it ran" not in command("logs", folder=project).stdout
    command("env", "set", "CLIENT_ORIGIN", "https://other.site", folder=project)
    sent = command(*words, "--send", folder=project)
    assert sent.exit_code == 1, "the variables of the deployment count"
    assert "✖ access-control-allow-origin is 'https://other.site', not 'https://my.site'" in sent.stdout
    assert "it ran" in command("logs", folder=project).stdout


HINTS: list[tuple[list[str], str]] = [
    (
        ["POST /own"],
        "hint: let http:own_options (convex/http.py:19) answer with access-control-allow-headers: content-type",
    ),
    (["POST /own"], "hint: or take that route away and write http_router("),
    (
        ["/list", "--credentials"],
        "hint: let http:listed (convex/http.py:25) answer with access-control-allow-credentials: true",
    ),
    (
        ["/list", "--credentials"],
        'hint: or write http_router(cors=Cors(origins=["https://my.site"], credentials=True))',
    ),
    (["PUT /nothing"], "hint: no route takes PUT /nothing: `pyconvex routes --match` says more"),
    (
        ["POST /plain", "--header", "X-Key: 1", "--header", "Authorization"],
        'Cors(origins=["https://my.site"], headers=["Content-Type", "authorization", "x-key"])',
    ),
    (["/list", "--header", "Cookie: a=1"], "hint: a page cannot set cookie: the browser leaves it out"),
    (["/list", "--header", "Cookie: a=1"], "the browser sends it at once, it needs no preflight"),
    (["/list?status=203&x=ü"], "→ 203 from http:listed"),
    (
        ["POST /plain", "--header", "content-type:text/plain"],
        "its code sets no CORS headers, and the router has no cors=",
    ),
    (["POST /mounted/x", "--header", "content-type:text/plain"], "? not known"),
    (["/mounted/x"], "✖ access-control-allow-origin is missing"),
]


@pytest.mark.parametrize(("words", "said"), HINTS)
def test_what_has_to_change(project: Path, words: list[str], said: str) -> None:
    assert said in command("routes", "--cors", "https://my.site", *words, folder=project).stdout


CORS_HINTS: list[tuple[str, list[str], int, str]] = [
    ('["https://my.site"]', ["POST /plain"], 0, "✔ allowed"),
    ('["https://my.site"]', ["POST /plain"], 0, "→ 204 from the router's cors="),
    ('["https://my.site"]', ["POST /plain"], 0, "and the router's cors= adds"),
    ('["https://a.site"]', ["POST /plain"], 1, 'hint: add "https://my.site" to Cors(origins=[...]) in http.py'),
    ('["*"]', ["POST /plain", "--header", "X-Key:1"], 1, 'hint: add "x-key" to Cors(headers=[...]) in http.py'),
    (
        '["*"], headers=["*"]',
        ["POST /plain", "--header", "X-Key:1"],
        0,
        "access-control-allow-headers: content-type, x-key",
    ),
    ('["*"]', ["POST /plain", "--credentials"], 1, 'Cors(credentials=True, origins=["https://my.site"])'),
    ('["https://my.site"]', ["POST /plain", "--credentials"], 1, "hint: write Cors(credentials=True) in http.py"),
    ('["https://my.site"]', ["POST /own"], 1, "hint: let http:own_options (convex/http.py:19) answer with"),
    ('["https://my.site"]', ["POST /own", "--header", "content-type: text/plain"], 0, "? not known"),
    ('["https://my.site"]', ["PATCH /mounted/x"], 0, "✔ allowed"),
    ('["https://my.site"]', ["PATCH /missing"], 1, "hint: no route takes PATCH /missing"),
]


@pytest.mark.parametrize(("origins", "words", "exit_code", "said"), CORS_HINTS)
def test_a_router_with_cors(project: Path, origins: str, words: list[str], exit_code: int, said: str) -> None:
    text = HTTP.replace("import Request", "import Cors, Request").replace(
        "http_router()", f"http_router(cors=Cors(origins={origins}))"
    )
    (project / "convex/http.py").write_text(text)
    ran = command("routes", "--cors", "https://my.site", *words, folder=project)
    assert (ran.exit_code, said in ran.stdout) == (exit_code, True), ran.stdout


def test_for_programs(project: Path) -> None:
    ran = command("routes", "--cors", "https://my.site", "POST /plain", "--json", folder=project)
    found: dict[str, Any] = json.loads(ran.stdout)
    assert (ran.exit_code, found["allowed"], found["responseKnown"]) == (1, False, "not reached")
    assert found["reasons"] == ["the content type application/json"]
    assert found["preflight"]["status"] == 404
    assert [each["header"] for each in found["preflight"]["objections"]] == [
        None,
        "access-control-allow-origin",
        "access-control-allow-headers",
    ]
    assert found["route"] == {"method": "POST", "path": "/plain", "handler": "http:plain", "place": "convex/http.py:8"}
    assert found["hints"] == ['write http_router(cors=Cors(origins=["https://my.site"])) in http.py']
    unknown = json.loads(command("routes", "--cors", "null", "POST /mounted/", "--json", folder=project).stdout)
    assert unknown["origin"] == "null"


WRONG: list[tuple[list[str], str]] = [
    (["--cors", "https://my.site"], "error: --cors needs a request"),
    (["POST /x"], 'error: a request is asked about with --match "POST /x", or with --cors ORIGIN "POST /x"'),
    (["--cors", "my.site", "POST /x"], "error: 'my.site' is no origin\nhint: an origin is scheme, host and port"),
    (["--cors", "data:x", "POST /x"], "error: 'data:x' is no origin"),
    (["--cors", "https://my.site", "FETCH /x"], "error: 'FETCH /x' is not a request"),
    (
        ["--cors", "https://my.site", "/x", "--header", "a b: c"],
        "error: --header 'a b: c': 'a b' is not a valid header name",
    ),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_what_is_typed_wrong(project: Path, words: list[str], said: str) -> None:
    ran = command("routes", *words, folder=project)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith(said)


def test_a_running_server_is_asked(project: Path) -> None:
    with dev(project) as running:
        wait_until(lambda: "ready in" in running.said, "the first version")
        blocked = command("routes", "--cors", "https://my.site", "POST /plain", folder=project)
        assert (blocked.exit_code, "✖ access-control-allow-origin is missing" in blocked.stdout) == (1, True)
        wait_until(lambda: "OPTIONS /plain" in running.said, "the row of the preflight")
        allowed = command("routes", "--cors", "https://my.site", "/list?status=203", folder=project)
        assert (allowed.exit_code, allowed.stdout.endswith("✔ allowed\n")) == (0, True)
        assert "→ 203 from http:listed" in allowed.stdout
