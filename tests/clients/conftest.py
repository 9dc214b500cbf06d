"""The official clients: Node with `convex` from npm, installed once into this folder."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INSTALL = ("ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")


@pytest.fixture(scope="session")
def npm_folder() -> Path:
    """A folder in which Node finds the official client. Without Node the tests skip, and fail where CI is set."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("the tests with the official npm client need Node")
        pytest.skip("Node is not installed")
    with _alone():
        _install(npm)
    return HERE


def _install(npm: str) -> None:
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    installed = HERE / "node_modules" / ".installed"
    if installed.exists() and installed.read_text() == wanted:
        return
    done = subprocess.run([npm, *INSTALL], cwd=HERE, capture_output=True, text=True, timeout=300)
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
