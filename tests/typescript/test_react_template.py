"""The template `react`: its types are right, its page can be built, and its packages are those tested here."""

import json
import subprocess
from pathlib import Path

import pytest

from pyconvex_templates import templates
from support.dev import init
from support.npm import install, node, node_environment

HERE = Path(__file__).parent

pytestmark = pytest.mark.xdist_group("typescript")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    install(HERE, optional=True)
    project = init(tmp_path / "chat", "react")
    (project / "node_modules").symlink_to(HERE / "node_modules")
    return project


def run(project: Path, package: str, command: str, *arguments: str) -> str:
    program = project / "node_modules" / package / "bin" / command
    done = subprocess.run(
        [node(), program, *arguments],
        cwd=project, env=node_environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_packages_are_those_tested_here() -> None:
    def packages(text: str) -> dict[str, str]:
        content = json.loads(text)
        return {**content["dependencies"], **content["devDependencies"]}

    tested = packages((HERE / "package.json").read_text())
    wanted = packages(templates()["react"].files_for("chat")["package.json"])
    assert wanted == {name: f"^{tested[name]}" for name in wanted}


def test_it_is_built_as_npm_run_build_does(project: Path) -> None:
    assert json.loads((project / "package.json").read_text())["scripts"]["build"] == "tsc && vite build"
    run(project, "typescript", "tsc")
    run(project, "vite", "vite.js", "build")
    page = (project / "dist/index.html").read_text()
    assert "<title>chat</title>" in page
    assert '<script type="module"' in page
