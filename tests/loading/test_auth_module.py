"""What `auth_config.py` has to export, and what a save of it changes."""

from dataclasses import dataclass

import pytest

from pyconvex.errors import Remedy
from pyconvex.loading.changes import Difference, changes_between
from support.folder import FunctionsFolder, seen
from support.tokens import Issuer

IMPORTS = "from pyconvex.server import auth_config, custom_jwt, oidc\n"
OTHERWISE = "end with `default = auth_config(oidc(domain=..., application_id=...))`"
OIDC = 'oidc(domain="auth.test", application_id="app")'
WRONG = "the `default` of `convex/auth_config.py` is"


@dataclass(frozen=True)
class Row:
    text: str
    code: str
    message: str
    place: str
    hint: str


ROWS = {
    "no default": Row(
        IMPORTS + f"auth = auth_config({OIDC})\n",
        "AuthConfigWithoutDefault",
        "`convex/auth_config.py` makes an auth configuration but does not export it",
        "convex/auth_config.py:2:1",
        "add `default = auth` as the last line",
    ),
    "nothing": Row(
        "",
        "AuthConfigWithoutDefault",
        "`convex/auth_config.py` has no `default`: it must export an auth configuration",
        "convex/auth_config.py:1",
        OTHERWISE,
    ),
    "not called": Row(
        IMPORTS + "default = auth_config\n",
        "AuthConfigNotCalled",
        "`default` is the function `auth_config` itself, not an auth configuration",
        "convex/auth_config.py:2:1",
        "call it: `auth = auth_config(oidc(domain=..., application_id=...))`, then `default = auth`",
    ),
    "None": Row("default = None\n", "AuthConfigDefaultWrong", f"{WRONG} None, not an auth configuration",
                "convex/auth_config.py:1:1", OTHERWISE),
    "a provider": Row(
        IMPORTS + f"default = {OIDC}\n",
        "AuthConfigDefaultWrong",
        f"{WRONG} a single provider, not an auth configuration",
        "convex/auth_config.py:2:1",
        "wrap it: `default = auth_config(oidc(...))`",
    ),
    "a list of providers": Row(
        IMPORTS + f"default = [{OIDC}]\n",
        "AuthConfigDefaultWrong",
        f"{WRONG} a list, not an auth configuration",
        "convex/auth_config.py:2:1",
        "give its providers one by one: `default = auth_config(oidc(...), custom_jwt(...))`",
    ),
    "as in JavaScript": Row(
        'default = {"providers": [{"domain": "auth.test", "applicationID": "app"}]}\n',
        "AuthConfigDefaultWrong",
        f"{WRONG} a dict, not an auth configuration",
        "convex/auth_config.py:1:1",
        "write `default = auth_config(oidc(domain=..., application_id=...))`",
    ),
    "a bad URL": Row(
        IMPORTS + 'default = auth_config(\n    oidc(domain="ftp://x", application_id="app"),\n)\n',
        "BadUrl",
        "oidc(domain=...) is 'ftp://x', which is no URL of an issuer",
        "convex/auth_config.py:3:5",
        "only http:// and https:// work here",
    ),
    "a shared secret": Row(
        IMPORTS + 'default = auth_config(custom_jwt(issuer="x", jwks="https://x.test/k", algorithm="HS256"))\n',
        "BadAlgorithm",
        "custom_jwt(algorithm=...) is 'HS256', but must be 'RS256' or 'ES256'",
        "convex/auth_config.py:2:23",
        "have tokens signed with RS256 or ES256: whoever could verify such a token could also forge it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_bad_auth_module_is_one_problem_with_its_fix(folder: FunctionsFolder, row: Row) -> None:
    folder.write("auth_config.py", row.text)
    assert seen(folder.problem()) == (row.code, row.message, row.place, row.hint)


def test_a_forgotten_argument_is_named(folder: FunctionsFolder) -> None:
    folder.write("auth_config.py", IMPORTS + 'default = auth_config(oidc(domain="auth.test"))\n')
    problem = folder.problem()
    assert "application_id" in problem.message
    assert str(problem.place) == "convex/auth_config.py:2:23"


def test_a_missing_variable_is_named_and_waited_for(folder: FunctionsFolder) -> None:
    read = 'os.environ["NO_SUCH_ISSUER"]'
    folder.write(
        "auth_config.py",
        f'import os\n{IMPORTS}\ndefault = auth_config(\n    oidc(domain={read}, application_id="a")\n)\n',
    )
    problem = folder.problem()
    assert seen(problem) == (
        "VariableNotSet",
        "the environment variable `NO_SUCH_ISSUER` is not set",
        "convex/auth_config.py:5:17",
        "set it with `pyconvex env set NO_SUCH_ISSUER ...`",
    )
    assert problem.remedy is Remedy.SET_VARIABLE


def test_a_variable_that_may_be_missing_is_waited_for_too(folder: FunctionsFolder) -> None:
    read = 'os.environ.get("NO_SUCH_ISSUER")'
    folder.write(
        "auth_config.py", f'import os\n{IMPORTS}default = auth_config(oidc(domain={read}, application_id="a"))\n'
    )
    problem = folder.problem()
    assert (problem.code, problem.message) == ("AuthConfigIncomplete", "oidc(domain=...) is None")
    assert problem.remedy is Remedy.SET_VARIABLE


def test_without_the_module_nobody_is_trusted(folder: FunctionsFolder) -> None:
    folder.write("messages.py", "")
    assert folder.load().registry.auth.providers == ()


def test_a_save_shows_which_issuers_came_and_went(folder: FunctionsFolder) -> None:
    def save(*calls: str) -> None:
        folder.write("auth_config.py", f"{IMPORTS}default = auth_config({', '.join(calls)})\n")

    inline = Issuer().call()
    save(OIDC, inline)
    first = folder.load().registry
    assert [provider.issuer for provider in first.auth.providers] == ["https://auth.test", "https://issuer.test"]
    assert {provider.place.relative_to(folder.root).file for provider in first.auth.providers} == {
        "convex/auth_config.py"
    }
    assert changes_between(None, first).auth == Difference(added=("https://auth.test", "https://issuer.test"))
    save(f"\n{OIDC}", inline)
    same = folder.load().registry
    assert not changes_between(first, same)
    save(OIDC.replace('"app"', '"other"'), 'oidc(domain="new.test", application_id="app")')
    changes = changes_between(first, folder.load().registry)
    assert changes.auth == Difference(("https://new.test",), ("https://auth.test",), ("https://issuer.test",))
    assert changes
