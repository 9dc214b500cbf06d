"""Variables of the deployment, and what functions find in `os.environ`."""

import asyncio
import os
from pathlib import Path

import pytest

from pyconvex.engine.environment import Environment, Urls
from pyconvex.errors import RequestRefused
from pyconvex.settings import Limits
from support.deployment import deployment

pytestmark = pytest.mark.usefixtures("every_engine")

READS = """
AT_LOAD = os.environ.get("FROM_TEST"), os.environ["CONVEX_CLOUD_URL"]

@query
async def read(ctx, name: str):
    return os.environ.get(name)

@query
async def required(ctx, name: str):
    return os.environ[name]

@query
async def getenv(ctx, name: str):
    return [os.getenv(name, "-"), name in os.environ]

@action
async def names(ctx):
    assert len(os.environ) == len(list(os.environ)) == len(dict(os.environ))
    return sorted(name for name in os.environ if "TEST" in name or "CONVEX" in name)

@action
async def shown(ctx):
    return repr(os.environ)

@query
async def at_load(ctx):
    return list(AT_LOAD)

@mutation
async def changes(ctx):
    os.environ["FROM_TEST"] = "x"

@action
async def may_change(ctx):
    os.environ["SET_BY_TEST"] = "x"
    try:
        return os.environ["SET_BY_TEST"]
    finally:
        del os.environ["SET_BY_TEST"]
"""


def test_functions_see_the_deployments_variables_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_TEST", "process")
    monkeypatch.setenv("PYCONVEX_TEST", "hidden")
    monkeypatch.setenv("CONVEX_SELF_HOSTED_TEST", "hidden")
    monkeypatch.delenv("CONVEX_CLOUD_URL", raising=False)
    monkeypatch.delenv("CONVEX_SITE_URL", raising=False)

    async def test() -> None:
        async with deployment(tmp_path, READS) as t:
            assert await t.value("read", name="FROM_TEST") == "process"
            await t.environment.set_many({"FROM_TEST": "deployment", "OWN_TEST": "é"})
            assert await t.value("read", name="FROM_TEST") == "deployment"
            assert await t.value("getenv", name="OWN_TEST") == ["é", True]
            assert await t.value("getenv", name="PYCONVEX_TEST") == ["-", False]
            assert await t.value("read", name="CONVEX_SITE_URL") == "http://127.0.0.1:3211"
            assert await t.value("names") == [
                "CONVEX_CLOUD_URL", "CONVEX_SITE_URL", "FROM_TEST", "OWN_TEST",
                *sorted(name for name in os.environ if "TEST" in name and name.startswith("PYTEST")),
            ]  # fmt: skip
            assert "hidden" not in await t.value("shown")
            assert await t.error("required", name="MISSING") == "Uncaught KeyError: 'MISSING'"
            assert os.environ["FROM_TEST"] == "process"
            assert os.environ["PYCONVEX_TEST"] == "hidden"
            assert "OWN_TEST" not in os.environ

    asyncio.run(test())


def test_they_are_there_while_modules_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_TEST", "process")

    async def test() -> None:
        async with deployment(tmp_path, READS) as t:
            await t.environment.set_many({"FROM_TEST": "deployment"})
            t.load({})
            assert await t.value("at_load") == ["deployment", "http://127.0.0.1:3210"]
            assert os.environ["FROM_TEST"] == "process"

    asyncio.run(test())


def test_queries_and_mutations_cannot_change_the_process(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, READS) as t:
            assert "Can't change the environment variable 'FROM_TEST' in queries and mutations." in await t.error(
                "changes"
            )
            assert await t.value("may_change") == "x"

    asyncio.run(test())


def test_the_names_that_a_function_read_are_known(tmp_path: Path) -> None:
    source = """
    from pyconvex.engine.execution import current

    @query
    async def reads(ctx):
        os.environ.get("A"), os.getenv("B"), await ctx.run_query(api.m.inner)
        return sorted(current.get().variables_read)

    @query
    async def inner(ctx):
        return os.environ.get("C")
    """

    async def test() -> None:
        async with deployment(tmp_path, source) as t:
            assert await t.value("reads") == ["A", "B", "C"]

    asyncio.run(test())


CHANGES: dict[str, tuple[dict[str, str | None], str | None]] = {
    "a name": ({"A_1": "x"}, None),
    "an empty value": ({"A": ""}, None),
    "several lines": ({"A": "x\ny"}, None),
    "the longest name": ({"A" * 256: "x"}, None),
    "the longest value": ({"A": "é" * 4096}, None),
    "removing what is not there": ({"NOPE": None}, None),
    "a digit in front": ({"1A": "x"}, "EnvironmentVariableNameInvalid"),
    "a dash": ({"A-B": "x"}, "EnvironmentVariableNameInvalid"),
    "no name": ({"": "x"}, "EnvironmentVariableNameInvalid"),
    "a line end": ({"A\n": "x"}, "EnvironmentVariableNameInvalid"),
    "too long a name": ({"A" * 257: "x"}, "EnvironmentVariableNameTooLong"),
    "too long a value": ({"A": "é" * 4097}, "EnvironmentVariableValueTooLarge"),
    "a built-in": ({"CONVEX_SITE_URL": "x"}, "EnvironmentVariableNameForbidden"),
    "too many": ({f"A{n}": "x" for n in range(10)}, "EnvVarLimitMet"),
    "one of two is wrong": ({"GOOD": "x", "BA-D": "x"}, "EnvironmentVariableNameInvalid"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_rules_for_changes(tmp_path: Path, case: str) -> None:
    changes, code = CHANGES[case]

    async def test() -> None:
        async with deployment(tmp_path, limits=Limits(environment_variables=10)) as t:
            await t.environment.set_many({"KEPT": "x"})
            if code is None:
                await t.environment.set_many(changes)
                given = {name: value for name, value in changes.items() if value is not None}
                assert t.environment.variables == {"KEPT": "x", **given}
                return
            with pytest.raises(RequestRefused) as refused:
                await t.environment.set_many(changes)
            assert (refused.value.status, refused.value.code) == (400, code)
            assert t.environment.variables == {"KEPT": "x"}

    asyncio.run(test())


def test_variables_are_in_the_store(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path) as t:
            await t.environment.set_many({"B": "1", "A": "2", "C": "3"})
            await t.environment.set_many({"B": "4", "C": None})
            again = Environment(t.store, t.limits, Urls())
            await again.open()
            assert list(again.variables.items()) == [("A", "2"), ("B", "4")]

    asyncio.run(test())
