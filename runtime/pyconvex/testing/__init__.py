"""For the tests of a project: the real engine in memory, without ports.

from pyconvex.testing import ConvexTest

async def test_post_message():
    async with ConvexTest("convex") as t:
        response = await t.fetch("/postMessage", method="POST", json={"author": "Ada", "body": "hi"})
        assert response.status == 200
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .convex_test import ConvexTest as ConvexTest

__all__ = ["ConvexTest"]


def __getattr__(name: str) -> object:
    # pytest imports this package for its plugin in every project of the environment: the engine only where it is used
    if name == "ConvexTest":
        from .convex_test import ConvexTest

        return ConvexTest
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
