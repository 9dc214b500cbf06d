"""`pyconvex requests` and `pyconvex replay`, with and without a running server, and the tests that they write."""

import json
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyconvex.server import GitHubWebhook, StandardWebhook, StripeWebhook
from support.command import command
from support.dev import Dev, dev, environment_of, wait_until

pytestmark = pytest.mark.xdist_group("requests")  # one server for all of them

SVIX = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VARIABLES = {
    "STRIPE_SECRET": "whsec_live_stripe",
    "SVIX_SECRET": SVIX,
    "GITHUB_SECRET": "live-github-secret",
    "API_KEY": "live-api-key",
    "CLIENT_ORIGIN": "http://localhost:5173",
    "UNUSED": "of no use to a test",
}
HTTP = """
import os

from pyconvex.server import GitHubWebhook, Response, StandardWebhook, StripeWebhook, http_router
from ._generated.api import internal

http = http_router()
svix_hook = StandardWebhook(os.environ["SVIX_SECRET"])


@http.route(path="/stripe", method="POST")
async def stripe(ctx, request):
    await StripeWebhook(os.environ["STRIPE_SECRET"]).verify(request)
    return Response.json({"event": (await request.json())["type"]})


@http.route(path="/svix", method="POST")
async def svix(ctx, request):
    await svix_hook.verify(request)
    return Response.json({"id": request.headers["svix-id"]})


@http.route(path="/github", method="POST")
async def github(ctx, request):
    await GitHubWebhook(os.environ["GITHUB_SECRET"]).verify(request)
    return Response(None, status=204)


@http.route(path="/key", method="PUT")
async def key(ctx, request):
    wanted = f"Bearer {os.environ['API_KEY']}"
    allowed = request.headers.get("authorization") == wanted and request.url.search_params.get("key") in wanted
    return Response(os.environ["CLIENT_ORIGIN"], status=200 if allowed else 401)


@http.route(path="/who", method="GET")
async def who(ctx, request):
    if "authorization" in request.headers:
        return Response("a token of no provider", status=403)
    user = await ctx.auth.get_user_identity()
    return Response.json(user and user["name"], status=403 if user else 401)


@http.route(path="/first", method="POST")
async def first(ctx, request):
    count = await ctx.run_mutation(internal.seen.count)
    return Response("again", status=409) if count else Response(await request.bytes(), status=201)


default = http
"""
SEEN = """
from pyconvex.server import internal_mutation


@internal_mutation
async def count(ctx):
    before = await ctx.db.query("seen").collect()
    await ctx.db.insert("seen", {})
    return len(before)
"""


class Sent(NamedTuple):
    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    status: int


def token() -> str:
    """A JWT with a signature that nobody checks."""
    claims = json.dumps({"iss": "https://issuer.test", "sub": "ada", "name": "Ada"}).encode()
    return f"{urlsafe_b64encode(b'{}').decode()}.{urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


def requests_sent() -> list[Sent]:
    now = time.time() * 1000
    event = b'{"type":"invoice.paid","by":"O\'Neill \\"x\\""}'
    text = "Grüße\n".encode() * 30
    json_type = {"content-type": "application/json"}
    return [
        Sent("POST", "/stripe", event, {**StripeWebhook("whsec_live_stripe").sign(event, at=now), **json_type}, 200),
        Sent("POST", "/stripe", event, {**StripeWebhook("wrong").sign(event, at=now), **json_type}, 400),
        Sent("POST", "/svix", b"{}", StandardWebhook(SVIX).sign(b"{}", at=now, prefix="svix", id="msg_9"), 200),
        Sent("POST", "/github", text, GitHubWebhook("live-github-secret").sign(text), 204),
        Sent("PUT", "/key?key=live-api-key", b"", {"authorization": "Bearer live-api-key", "cookie": "a=b"}, 200),
        Sent("GET", "/who", b"", {"authorization": f"Bearer {token()}"}, 403),
        Sent("POST", "/first", bytes(range(256)), {"content-type": "application/octet-stream"}, 201),
        Sent("POST", "/first", b"x" * 500, {"content-type": "text/plain"}, 409),
        Sent("DELETE", "/nowhere", b"", {}, 404),
    ]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests") / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/http.py").write_text(HTTP)
    (folder / "convex/seen.py").write_text(SEEN)
    ran = command("env", "set", *(f"{name}={value}" for name, value in VARIABLES.items()), folder=folder)
    assert ran.exit_code == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def running(project: Path) -> Generator[Dev]:
    with dev(project) as server:
        for sent in requests_sent():
            reply = server.fetch(sent.method, sent.path, sent.body, sent.headers)
            assert reply.status == sent.status, (sent, reply)
        wait_until(lambda: len(kept(project)) == len(requests_sent()), "all are kept")
        yield server


@pytest.fixture(scope="module")
def stopped(running: Dev) -> Path:
    """The project after its server has ended; tests with `running` come before."""
    running.interrupt()
    return running.folder


def kept(project: Path, *flags: str) -> list[dict[str, Any]]:
    ran = command("requests", "--json", "-n", "200", *flags, folder=project)
    assert ran.exit_code == 0, ran.stderr
    return [each for each in json.loads(ran.stdout) if each["replayOf"] is None]


def id_of(project: Path, path: str, status: int) -> str:
    return next(each["id"] for each in kept(project, "--path", path, "--status", str(status)))


def test_the_list(running: Dev) -> None:
    ran = command("requests", folder=running.folder)
    assert (ran.exit_code, ran.stderr) == (0, "")
    header, *rows = ran.stdout.splitlines()
    assert header.split() == ["Id", "Time", "Method", "Path", "Status", "Took", "Size"]
    assert [re.split(r" {2,}", row)[2:5] for row in rows] == [
        [sent.method, sent.path.replace("live-api-key", "…"), str(sent.status)] for sent in requests_sent()
    ]
    first = re.compile(r"[0-9a-f]{8}   \d\d:\d\d:\d\d   POST +/stripe +200 +[\d.]+ m?s +44 bytes")
    assert first.fullmatch(rows[0]), rows[0]


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        (["-n", "2"], 2),
        (["--path", "/stripe"], 2),
        (["--path", "str", "--status", "4xx"], 1),
        (["--status", "409,2xx"], 6),
        (["--method", "put"], 1),
        (["--path", "/else"], 0),
    ],
)
def test_filters(running: Dev, flags: list[str], count: int) -> None:
    ran = command("requests", *flags, folder=running.folder)
    assert len(ran.stdout.splitlines()) == (count + 1 if count else 0)
    assert ran.stderr == ("" if count else "no request that is kept matches\n")


def test_one_whole(running: Dev) -> None:
    found = id_of(running.folder, "/stripe", 200)
    shown = command("requests", found[:6], folder=running.folder).stdout
    assert shown.startswith("POST /stripe → 200 in ")
    assert f"   id      {found}\n" in shown
    assert f"   log     pyconvex logs -n 10000 --no-follow --request-id {found}\n" in shown
    assert re.search(r"^   stripe-signature: t=\d{10}…$", shown, re.MULTILINE)
    assert '   {\n     "type": "invoice.paid",\n' in shown
    whole = command("requests", found, "--show-secrets", folder=running.folder).stdout
    assert re.search(r"^   stripe-signature: t=\d{10},v1=[0-9a-f]{64}$", whole, re.MULTILINE)

    one = json.loads(command("requests", found, "--json", folder=running.folder).stdout)
    assert json.loads(one["body"])["type"] == "invoice.paid"
    binary = json.loads(
        command("requests", id_of(running.folder, "/first", 201), "--json", folder=running.folder).stdout
    )
    assert "body" not in binary
    assert binary["bodyBase64"].startswith("AAEC")
    shown = command("requests", id_of(running.folder, "/first", 201), folder=running.folder).stdout
    assert "(256 bytes, not text)" in shown


def test_the_log_of_a_request_is_found_by_its_id(running: Dev) -> None:
    found = id_of(running.folder, "/stripe", 200)
    ran = command("logs", "-n", "10000", "--no-follow", "--request-id", found, folder=running.folder)
    assert "POST /stripe" in ran.stdout


def test_replay(running: Dev) -> None:
    ran = command("replay", id_of(running.folder, "/stripe", 200)[:8], folder=running.folder)
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"event": "invoice.paid"})
    assert re.fullmatch(r"POST /stripe → 200 in [\d.]+ m?s \(it was 200\)\n", ran.stderr)
    ran = command("replay", id_of(running.folder, "/first", 201), folder=running.folder)
    assert (ran.exit_code, ran.stdout) == (1, "again\n")
    assert "POST /first → 409" in ran.stderr
    ran = command("replay", "last", "--json", folder=running.folder)
    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["body"] == "No matching routes found"
    assert "replay of " in command("requests", "-n", "1", folder=running.folder).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["replay", "zz"], 1, "error: No request that is kept has the id 'zz'"),
        (["requests", "zz"], 1, "error: No request that is kept has the id 'zz'"),
        (["requests", "--status", "9"], 2, "error: --status is '9', but it must be like 404 or 5xx"),
        (["replay", "last", "-o", "x"], 2, "error: --output goes with --to-test"),
        (["replay", "last", "--to-test", "--json"], 2, "error: --to-test and --json exclude each other"),
    ],
)
def test_mistakes(running: Dev, arguments: list[str], code: int, message: str) -> None:
    ran = command(*arguments, folder=running.folder)
    assert (ran.exit_code, ran.stdout, ran.stderr) == (code, "", f"{message}\n")


def test_a_stopped_project_shows_and_repeats_what_it_kept(stopped: Path) -> None:
    assert len(kept(stopped)) >= len(requests_sent())
    ran = command("replay", id_of(stopped, "/svix", 200), folder=stopped)
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"id": "msg_9"})


def test_each_request_becomes_a_test_that_passes(stopped: Path) -> None:
    for number, sent in enumerate(requests_sent()):
        path = sent.path.partition("?")[0]
        found = id_of(stopped, path, sent.status)
        ran = command("replay", found, "--to-test", folder=stopped / "convex" if number == 0 else stopped)
        assert ran.exit_code == 0, ran.stderr
        written = Path(ran.stdout.strip())
        assert written.parent == stopped / "tests"
        text = written.read_text()
        for secret in ("live-api-key", "live-github", "whsec_live", SVIX, token()):
            assert secret not in text
        expected = 201 if sent.status == 409 else sent.status
        assert f"assert response.status == {expected}" in text
        assert ("warning: in an empty deployment the answer is 201, and it was 409" in ran.stderr) == (
            expected != sent.status
        )
    files = sorted((stopped / "tests").iterdir())
    assert len(files) == len(requests_sent())
    subprocess.run([sys.executable, "-m", "ruff", "check", "--select", "E,F,I,W", stopped / "tests"], check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--diff", stopped / "tests"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=stopped,
        env=environment_of(None),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(files)} passed" in done.stdout


def test_the_tests_depend_on_what_they_were_made_of(stopped: Path) -> None:
    """They pass because the request is right, not because nothing is checked."""
    ran = command("replay", id_of(stopped, "/stripe", 200), "--to-test", "-o", "-", folder=stopped)
    assert 'ENV = {\n    "API_KEY": "test-api-key",\n    "CLIENT_ORIGIN": "http://localhost:5173",\n' in ran.stdout
    assert "UNUSED" not in ran.stdout
    assert '**StripeWebhook(ENV["STRIPE_SECRET"]).sign(BODY, at=NOW),' in ran.stdout
    target = stopped / "changed.py"
    target.write_text(ran.stdout.replace("sign(BODY", 'sign(b"other"'))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", target],
        cwd=stopped, env=environment_of(None), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "assert 400 == 200" in done.stdout


def test_a_test_never_overwrites(stopped: Path) -> None:
    found = id_of(stopped, "/nowhere", 404)
    names = [Path(command("replay", found, "--to-test", folder=stopped).stdout.strip()).name for _ in range(2)]
    assert len(set(names)) == 2
    ran = command("replay", found, "--to-test", "-o", str(stopped / "tests" / names[0]), folder=stopped)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "exists already" in ran.stderr


def test_functions_that_cannot_be_loaded_in_the_test(stopped: Path) -> None:
    http = stopped / "convex/http.py"
    whole = http.read_text()
    try:
        http.write_text(whole.replace("http = http_router()", 'http = http_router()\nint(os.environ["API_KEY"])'))
        ran = command("replay", id_of(stopped, "/nowhere", 404), "--to-test", "-o", "-", folder=stopped)
    finally:
        http.write_text(whole)
    assert ran.exit_code == 0
    assert "assert response.status == 404" in ran.stdout
    assert "warning: the functions cannot be loaded with the variables of the test" in ran.stderr


def test_a_project_that_has_had_no_requests(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex/m.py").write_text("")
    ran = command("requests", folder=tmp_path)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == "no requests yet: `pyconvex dev` keeps those to HTTP actions\n"
    assert not (tmp_path / ".pyconvex/requests.sqlite3").exists()
    assert command("requests", "--json", folder=tmp_path).stdout == "[]\n"
