"""The official clients: two versions of `convex` from npm, each installed once, and `convex` from PyPI."""

import sys
from pathlib import Path

import pytest

from support.front_end import FrontEnd
from support.npm import install, node

HERE = Path(__file__).parent
STORIES = HERE / "stories"
VERSIONS = ("convex-1.45", "convex-newest")
"""The older is installed beside React 18, the newest beside React 19."""


def npm_client(version: str) -> FrontEnd:
    install(HERE / version)
    return FrontEnd(HERE / version, (node(), str(STORIES / "play.js")))


@pytest.fixture(scope="session", params=VERSIONS)
def front_end(request: pytest.FixtureRequest) -> FrontEnd:
    """The official npm client, in each version."""
    return npm_client(request.param)


@pytest.fixture(scope="session")
def newest_end() -> FrontEnd:
    """The newest version alone."""
    return npm_client(VERSIONS[-1])


@pytest.fixture(scope="session")
def python_end() -> FrontEnd:
    """The official Python client. In a process of its own: it waits for its server without letting others run."""
    pytest.importorskip("convex")
    return FrontEnd(STORIES, (sys.executable, str(STORIES / "play.py")))


@pytest.fixture(scope="session")
def every_end(python_end: FrontEnd) -> list[FrontEnd]:
    """All of them, the Python client last."""
    return [*map(npm_client, VERSIONS), python_end]
