"""The pytest plugin, in projects of its own."""

import subprocess
import sys

import pytest

from support.served import write_modules

pytest_plugins = ["pytester"]

MESSAGES = {
    "messages": """
        from pyconvex.server import mutation, query

        @mutation
        async def send(ctx):
            await ctx.db.insert("messages", {})

        @query
        async def count(ctx):
            return len(await ctx.db.query("messages").collect())
    """
}


def run_pytest(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    write_modules(pytester.path, MESSAGES)
    pytester.makepyfile(text)
    pytester.makeini("[pytest]")
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options)


def test_async_tests_run_with_plain_pytest(pytester: pytest.Pytester) -> None:
    done = run_pytest(
        pytester,
        """
        from pyconvex.testing import ConvexTest

        async def test_post_message():
            async with ConvexTest("convex") as t:
                await t.mutation("messages:send")
                assert await t.query("messages:count") == 1

        async def test_with_the_fixture(convex):
            await convex.mutation("messages:send")
            assert await convex.query("messages:count") == 1

        async def test_that_each_test_starts_empty(convex):
            assert await convex.query("messages:count") == 0

        class TestInAClass:
            async def test_method(self, convex, tmp_path):
                assert tmp_path.exists()
                assert await convex.query("messages:count") == 0

        def test_plain(convex):
            assert convex is not None

        async def test_wrong(convex):
            assert await convex.query("messages:count") == 5
        """,
        "-p",
        "no:anyio",
    )
    done.assert_outcomes(passed=5, failed=1)
    done.stdout.fnmatch_lines(["*assert 0 == 5*"])


def test_anyio_comes_first_where_it_is_asked_for(pytester: pytest.Pytester) -> None:
    pytest.importorskip("anyio")
    done = run_pytest(
        pytester,
        """
        import pytest

        pytestmark = pytest.mark.anyio

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def number():
            return 5

        async def test_async_fixtures_work(number, convex):
            assert number == 5
            await convex.mutation("messages:send")
            assert await convex.query("messages:count") == 1
        """,
    )
    done.assert_outcomes(passed=1)


def test_the_folder_is_a_setting(pytester: pytest.Pytester) -> None:
    (pytester.path / "elsewhere").mkdir()
    write_modules(pytester.path / "elsewhere", {"other": MESSAGES["messages"]})
    text = "async def test_it(convex):\n    assert await convex.query('other:count') == 0\n"
    run_pytest(pytester, text, "--override-ini=convex_folder=elsewhere/convex").assert_outcomes(passed=1)


def test_the_plugin_costs_projects_without_functions_nothing() -> None:
    program = "import sys, pyconvex.testing.plugin; print([name for name in sys.modules if 'pyconvex.' in name])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['pyconvex.testing', 'pyconvex.testing.plugin']"
