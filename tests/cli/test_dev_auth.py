"""`pyconvex dev` with an `auth_config.py`: a missing variable is waited for, and a save shows what it changes."""

from pathlib import Path

from support.dev import dev, pyconvex, wait_until
from support.tokens import Issuer

ISSUER = Issuer()
VARIABLE = 'os.environ["MY_ISSUER"]'
AUTH = f"""\
import os

from pyconvex.server import auth_config, custom_jwt

default = auth_config(
    {ISSUER.call().replace(repr(ISSUER.url), VARIABLE)},
)
"""
ME = """\
from ._generated.server import QueryCtx, query


@query
async def me(ctx: QueryCtx):
    identity = await ctx.auth.get_user_identity()
    return identity and identity["subject"]
"""


def test_a_missing_variable_is_waited_for_and_a_save_shows_its_issuers(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/users.py").write_text(ME)
    (folder / "convex/auth_config.py").write_text(AUTH)
    with dev(folder) as running:
        wait_until(lambda: "MY_ISSUER" in running.said, f"the variable to be named in:\n{running.said}")
        assert "convex/auth_config.py:6:" in running.said
        assert "pyconvex env set MY_ISSUER" in running.said
        assert pyconvex("env", "set", "MY_ISSUER", ISSUER.url, folder=folder).exit_code == 0
        headers = {"content-type": "application/json", **ISSUER.bearer()}

        def answers() -> bool:
            asked = '{"path": "users:me", "args": {}}'
            return running.fetch("POST", "/api/query", asked, headers, port=running.port).json.get("value") == "ada"

        wait_until(answers, "the deployment to load once the variable is set")
        assert pyconvex("env", "set", "MY_ISSUER", "https://other", folder=folder).exit_code == 0
        wait_until(lambda: "+ auth https://other" in running.said, "another value to be read without a save")
        assert pyconvex("env", "set", "MY_ISSUER", ISSUER.url, folder=folder).exit_code == 0
        wait_until(answers, "the first value to count again")
        (folder / "convex/auth_config.py").write_text(AUTH.replace(VARIABLE, "'x'"))
        changed = f"+ auth https://x  − auth {ISSUER.url}"
        wait_until(lambda: changed in running.said, "the save to show its change")
