"""What flags of `pyconvex dev` do to what it shows."""

from pathlib import Path

import pytest

from support.command import command
from support.dev import dev, wait_until

HTTP = """\
from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/x", method="GET")
async def x(ctx, request: Request) -> Response:
    print("printed")
    return Response("one")


default = http
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/http.py").write_text(HTTP)
    return folder


def test_tail_logs_disable_shows_no_rows(project: Path) -> None:
    with dev(project, "--tail-logs", "disable") as running:
        wait_until(lambda: "ready in" in running.said, "it is ready")
        assert running.fetch("GET", "/x").text == "one"
        (project / "convex/http.py").write_text(HTTP.replace("one", "two"))
        wait_until(lambda: "reloaded in" in running.said, "the save is shown all the same")
        assert running.fetch("GET", "/x").text == "two"
        assert running.interrupt() == 130
    assert "printed" not in running.said
    assert "Status" not in running.said


def test_verbose_shows_the_whole_traceback(project: Path) -> None:
    (project / "convex/http.py").write_text("import json\njson.loads('{')\n")
    ran = command("dev", "--once", folder=project)
    assert "convex/http.py:2" in ran.stderr
    assert "Traceback" not in ran.stderr
    ran = command("dev", "--once", "--verbose", folder=project)
    assert ran.exit_code == 1
    assert "Traceback (most recent call last):" in ran.stderr
    assert "decoder.py" in ran.stderr, "the library's own frames too"


def test_typescript_beside_is_noted_once(project: Path) -> None:
    for name in ("a.ts", "b.tsx", "c.js"):
        (project / "convex" / name).write_text("export {};\n")
    said = command("dev", "--once", folder=project).stderr
    assert said.count("warning[ForeignFile]") == 1
    assert "functions are written in Python here" in said
    assert "· 1 route" in said
