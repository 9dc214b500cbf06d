"""`npx convex`, which needs nothing but the address and the admin key of the deployment."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

from support.chat import CHAT
from support.front_end import FrontEnd
from support.npm import node
from support.served import Served, run, served

USERS = """
    from pyconvex.server import query


    @query
    async def me(ctx):
        identity = await ctx.auth.get_user_identity()
        return identity and identity["subject"]
"""


@contextlib.asynccontextmanager
async def started(end: FrontEnd, server: Served, *arguments: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """One command, while the block runs."""
    program = end.folder / "node_modules" / "convex" / "bin" / "main.js"
    login = {
        "CONVEX_SELF_HOSTED_URL": server.sockets.api_url,
        "CONVEX_SELF_HOSTED_ADMIN_KEY": server.host.admin_key,
    }
    async with end.process(node(), str(program), *arguments, **login) as process:
        yield process


async def npx(end: FrontEnd, server: Served, *arguments: str) -> str:
    """The standard output of a command that ends by itself."""
    async with started(end, server, *arguments) as process:
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()


async def until_said(stream: asyncio.StreamReader | None, wanted: str) -> None:
    """Wait for this on standard output or standard error."""
    assert stream
    heard = ""
    while wanted not in heard:
        more = await stream.read(2**16)
        assert more, f"no {wanted!r} in {heard!r}"
        heard += more.decode()


def test_functions_and_variables(newest_end: FrontEnd, tmp_path: Path) -> None:
    identity = json.dumps({"subject": "ada", "issuer": "https://issuer.test"})

    async def story() -> None:
        async with served(tmp_path, {**CHAT, "users": USERS}) as server:
            *answers, _ = await asyncio.gather(
                npx(newest_end, server, "run", "messages:secret"),
                npx(newest_end, server, "run", "messages:sendTwo", '{"body": "hi", "author": "Ada"}'),
                npx(newest_end, server, "run", "users:me", "--identity", identity),
                npx(newest_end, server, "env", "set", "CLIENT_ORIGIN", "https://my.site"),
            )
            assert [json.loads(each) for each in answers] == ["internal", 2, "ada"]
            assert server.host.environment.variables == {"CLIENT_ORIGIN": "https://my.site"}

    run(story)


def test_a_watched_query_and_the_log(newest_end: FrontEnd, tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            served(tmp_path, CHAT) as server,
            started(newest_end, server, "run", "messages:list", "--watch") as watching,
            started(newest_end, server, "logs", "--success", "--history", "9") as logging,
        ):
            await until_said(watching.stdout, "[]")
            await until_said(logging.stderr, "Watching logs")
            sent = {"path": "messages:send", "args": {"body": "hello you"}}
            await server.call("/api/mutation", sent)
            await until_said(watching.stdout, "hello you")
            await until_said(logging.stdout, "[CONVEX M(messages:send)] Function executed")

    run(story)
