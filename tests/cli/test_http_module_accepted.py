"""What is printed, to the letter, for an `http.py` that loads: none, the usual form, and the doubtful ones."""

import json
import re
from pathlib import Path

import pytest

from pyconvex import __version__
from support.command import command
from support.dev import Ran

HANDLER = """\
from pyconvex.server import Response, http_action


@http_action
async def get(ctx, request):
    return Response("a", headers={"Access-Control-Allow-Origin": "*"})
"""
HEAD = """\
from pyconvex.server import http_router
from .messages import get

http = http_router()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    convex = tmp_path / "app" / "convex"
    convex.mkdir(parents=True)
    (convex / "messages.py").write_text(HANDLER)
    return convex.parent


def once(project: Path) -> Ran:
    ran = command("dev", "--once", folder=project)
    said = re.sub(r"ready in [^·]+ ·", "ready in T ·", re.sub(r"\d\d:\d\d:\d\d", "12:01:04", ran.stderr))
    return Ran(ran.exit_code, ran.stdout, said)


def http(project: Path, *routes: str) -> None:
    (project / "convex/http.py").write_text(HEAD + "".join(f"{line}\n" for line in routes) + "default = http\n")


BEGIN = f"  pyconvex {__version__} · app · data in .pyconvex/\n\n"


def test_none_is_fine(project: Path) -> None:
    ran = once(project)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr.startswith(BEGIN)
    assert ran.stderr.endswith("  ✔ 12:01:04 ready in T · 0 functions · 0 routes\n\n")
    assert command("routes", folder=project) == Ran(
        0, "", "0 routes: convex/http.py says which paths reach which HTTP actions\n"
    )


def test_the_form(project: Path) -> None:
    http(project, 'http.route(path="/x", method="GET", handler=get)')
    assert once(project) == Ran(
        0,
        "",
        BEGIN + "  Route   Method   Handler        Where\n"
        "  /x      GET      messages:get   http.py:5\n"
        "\n"
        "  ✔ 12:01:04 ready in T · 0 functions · 1 route\n\n",
    )


@pytest.mark.parametrize("name", ["Http.py", "https.py", "routes.py"])
def test_a_misnamed_module_is_warned_about(project: Path, name: str) -> None:
    (project / "convex" / name).write_text("from pyconvex.server import http_router\ndefault = http_router()\n")
    warning = (
        f"warning[DidYouMeanHttp]: no routes are read from `convex/{name}`, only from `http.py`\n"
        f"   convex/{name}:1\n"
        "   1 │ from pyconvex.server import http_router\n"
        "   2 │ default = http_router()\n"
        "hint: rename it to `http.py` if it holds the router\n"
    )
    ran = once(project)
    assert ran.exit_code == 0
    assert "".join(f"  {line}\n" for line in warning.splitlines()) in ran.stderr
    assert ran.stderr.endswith("  ✔ 12:01:04 ready in T · 0 functions · 0 routes\n\n")
    assert command("routes", "--check", folder=project) == Ran(1, "", warning)


def test_check_warns_of_a_prefix_that_never_matches(project: Path) -> None:
    http(
        project,
        'http.route(path="/files/{rest:path}", method="GET", handler=get)',
        'http.route(path_prefix="/files/", method="GET", handler=get)',
    )
    assert command("routes", "--check", folder=project) == Ran(
        1,
        "",
        "warning[RouteNeverMatches]: GET /files/* never matches: GET /files/{rest:path} wins every path of it\n"
        "   convex/http.py:6\n"
        '   5 │ http.route(path="/files/{rest:path}", method="GET", handler=get)\n'
        '   6 │ http.route(path_prefix="/files/", method="GET", handler=get)\n'
        "   7 │ default = http\n"
        "   convex/http.py:5\n"
        "   4 │ http = http_router()\n"
        '   5 │ http.route(path="/files/{rest:path}", method="GET", handler=get)\n'
        '   6 │ http.route(path_prefix="/files/", method="GET", handler=get)\n'
        "hint: remove it, or narrow the others\n",
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_check_warns_of_a_route_that_browsers_cannot_call(project: Path, method: str) -> None:
    http(project, f'http.route(path="/x", method="{method}", handler=get)')
    assert command("routes", "--check", folder=project) == Ran(
        1,
        "",
        f"warning[NoPreflight]: browsers of other sites cannot call {method} /x: "
        "nothing answers their preflight (OPTIONS)\n"
        "   convex/http.py:5\n"
        "   4 │ http = http_router()\n"
        f'   5 │ http.route(path="/x", method="{method}", handler=get)\n'
        "   6 │ default = http\n"
        'hint: write `http_router(cors=Cors(origins=["https://my.site"]))`, or add an OPTIONS route\n',
    )


def test_check_for_programs(project: Path) -> None:
    http(project, 'http.route(path="/x", method="POST", handler=get)')
    ran = command("routes", "--check", "--json", folder=project)
    [problem] = json.loads(ran.stdout)
    assert (ran.exit_code, problem["code"], problem["place"]) == (1, "NoPreflight", "convex/http.py:5")
    http(project, 'http.route(path="/x", method="GET", handler=get)')
    assert command("routes", "--check", "--json", folder=project) == Ran(0, "[]\n", "")
