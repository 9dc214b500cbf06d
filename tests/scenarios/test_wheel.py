"""What ships: the wheel, installed outside the checkout, scaffolds a project, passes its tests and serves it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the built wheel's content and nothing of the checkout."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(CHECKOUT)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = wheels.glob("pyconvex-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, timeout=120)
    return target


def _environment(installed: Path) -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(installed)}


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    show = "import pyconvex, pyconvex_cli, pyconvex_templates; print(pyconvex.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", show],
        cwd=tmp_path,
        env=_environment(installed),
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(ran.stdout.strip()).is_relative_to(installed)
    assert (installed / "pyconvex" / "py.typed").exists()


@pytest.mark.parametrize("template", ["basic", "messages"])
def test_a_scaffolded_project_loads_and_passes_its_tests(installed: Path, tmp_path: Path, template: str) -> None:
    project = tmp_path / "app"
    command = [sys.executable, "-m", "pyconvex_cli"]
    for arguments, folder in (
        ([*command, "init", "app", "--template", template], tmp_path),
        ([*command, "dev", "--once"], project),
        ([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], project),
    ):
        ran = subprocess.run(
            arguments, cwd=folder, env=_environment(installed), capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
