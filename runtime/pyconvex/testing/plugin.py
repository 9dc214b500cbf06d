"""The pytest plugin: the fixture `convex`, and a runner for `async def` tests where no other plugin runs them."""

import asyncio
import inspect
import sys
from collections.abc import Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .convex_test import ConvexTest

FOLDER = "convex_folder"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting `convex_folder`: where the functions of the fixture `convex` are, from the root of the project."""
    parser.addini(FOLDER, help="folder of the functions that the fixture `convex` loads", default="convex")


@pytest.fixture
def convex(request: pytest.FixtureRequest) -> Iterator["ConvexTest"]:
    """A `ConvexTest` on the project's functions, empty for each test.

    It opens itself at its first use, on whichever event loop the test runs.
    """
    from .convex_test import ConvexTest

    t = ConvexTest(request.config.rootpath / str(request.config.getini(FOLDER)))
    yield t
    t.close_from_outside()


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test on an event loop of its own; anyio and pytest-asyncio come first where they claim it."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    wanted = inspect.signature(test).parameters
    arguments = {name: value for name, value in pyfuncitem.funcargs.items() if name in wanted}
    asyncio.run(_run(test(**arguments), arguments))
    return True


async def _run(test: Coroutine[Any, Any, object], arguments: Mapping[str, object]) -> None:
    try:
        await test
    finally:
        if "convex" in arguments and "pyconvex.testing.convex_test" in sys.modules:
            from .convex_test import ConvexTest

            opened = arguments["convex"]
            if isinstance(opened, ConvexTest):
                await opened.close()
