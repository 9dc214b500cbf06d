"""The starters: complete, current, and passing their own tests the way their users would run them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyconvex.loading.loader import Loader
from pyconvex_cli.generated import outdated
from pyconvex_templates import DEFAULT, PLACEHOLDER, Template, templates
from support.command import command
from support.dev import dev, init, wait_until

NAMES = sorted(templates())


@pytest.fixture(params=NAMES)
def template(request: pytest.FixtureRequest) -> Template:
    return templates()[request.param]


def test_what_there_is() -> None:
    assert NAMES == ["basic", "messages", "react"]
    assert DEFAULT in NAMES
    assert all(each.about.endswith(".") and PLACEHOLDER not in each.about for each in templates().values())


def test_every_template_is_a_whole_project(template: Template) -> None:
    files = template.files_for("chat")
    assert {".gitignore", "README.md", "pyproject.toml", "convex/schema.py", "convex/http.py"} <= set(files)
    assert any(name.startswith("tests/test_") for name in files)
    assert not [name for name in files if "dot-" in name or "__pycache__" in name]
    assert not [name for name, text in files.items() if PLACEHOLDER in text]
    assert 'name = "chat"' in files["pyproject.toml"]
    assert {".env.local", ".pyconvex/"} <= set(files[".gitignore"].splitlines())


def test_a_literal_gitignore_would_act_on_this_repository(template: Template) -> None:
    assert not list(template.folder.rglob(".gitignore"))


def test_what_is_generated_is_current(template: Template) -> None:
    loaded = Loader(template.folder / "convex").load()
    try:
        assert outdated(template.folder / "convex", loaded.generated) == []
        assert loaded.warnings == ()
    finally:
        loaded.retire()


def test_its_own_tests_pass_with_plain_pytest(template: Template, tmp_path: Path) -> None:
    project = init(tmp_path / "app", template.name)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=project, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), done.stdout


def test_there_is_nothing_to_complain_about_its_routes(template: Template, tmp_path: Path) -> None:
    project = tmp_path / "app"
    assert command("init", "app", "--template", template.name, folder=tmp_path).exit_code == 0
    ran = command("routes", "--check", folder=project)
    assert ran.exit_code == 0, ran.stderr
    assert command("codegen", "--check", folder=project).exit_code == 0


def test_the_seed_example_is_answered_as_its_readme_says(tmp_path: Path) -> None:
    project = init(tmp_path / "app", "messages")
    with dev(project) as running:
        sent = running.fetch("POST", "/postMessage", '{"author": "Ada", "body": "hi"}')
        assert (sent.status, sent.body) == (200, b"")
        by_author = running.fetch("GET", "/getMessagesByAuthor?author=Ada")
        shown = re.sub(r'"_id":"\w+","_creationTime":[\d.]+', '"_id":"…","_creationTime":…', by_author.text)
        assert shown in templates()["messages"].files_for("app")["README.md"]
        assert running.fetch("GET", "/getAuthorMessages/Ada").body == by_author.body

        image = b"\x89PNG" + bytes(range(256)) * 100
        answer = running.fetch("POST", "/sendImage", image, {"Content-Type": "image/png"})
        assert "access-control-allow-origin" not in answer.headers
        found = running.fetch("GET", f"/getImage?storageId={answer.json['storageId']}")
        assert (found.body, found.headers["content-type"]) == (image, "image/png")
        wait_until(lambda: "CLIENT_ORIGIN is not set" in running.said, "the log says why")

        assert command("env", "set", "CLIENT_ORIGIN", "http://localhost:5173", folder=project).exit_code == 0
        preflight = running.fetch(
            "OPTIONS",
            "/sendImage",
            headers={
                "Origin": "http://localhost:5173",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type",
            },
        )
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == "http://localhost:5173"
        answer = running.fetch("POST", "/sendImage", image)
        assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"


def test_the_basic_example_is_answered_as_its_readme_says(tmp_path: Path) -> None:
    project = init(tmp_path / "app", "basic")
    with dev(project) as running:
        sent = running.fetch("POST", "/notes", '{"author": "Ada", "text": "hello"}')
        assert sent.status == 201
        assert re.fullmatch(r'\{"id":"\w+"\}', sent.text)
        assert command("run", "notes:add", '{"author": "Ada", "text": "hello again"}', folder=project).exit_code == 0
        ran = command("run", "notes:by_author", '{"author": "Ada"}', folder=project)
        assert [note["text"] for note in json.loads(ran.stdout)] == ["hello again", "hello"]
