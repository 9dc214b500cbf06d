"""The official JavaScript client and command line (npm `convex`) against a served deployment."""

import asyncio
import json
import os
import textwrap
from pathlib import Path
from typing import Any

from support.served import Served, run, served

MESSAGES = {
    "messages": """
        from pyconvex.server import action, internal_query, mutation, query
        from pyconvex.values import ConvexError, Int64


        @query
        async def list_all(ctx):
            print("listing", 42)
            return await ctx.db.query("messages").collect()


        @mutation
        async def send_one(ctx, body: str, author: str) -> str:
            return await ctx.db.insert("messages", {"body": body, "author": author})


        @query
        async def echo(ctx, value):
            return value


        @action
        async def twice(ctx, number: float) -> float:
            return number * 2


        @mutation
        async def refuse(ctx, data):
            raise ConvexError(data)


        @mutation
        async def crash(ctx):
            raise ValueError("crashed")


        @internal_query
        async def secret(ctx) -> str:
            return "internal"
    """
}

PRELUDE = """
import { ConvexHttpClient } from "convex/browser";
import { anyApi } from "convex/server";
const client = new ConvexHttpClient(process.env.CONVEX_URL, { logger: false });
const api = anyApi;
const shown = (value) => JSON.stringify(value, (key, each) =>
  typeof each === "bigint" ? `${each}n` : each instanceof ArrayBuffer ? [...new Uint8Array(each)] : each);
const error = async (call) => { try { await call; return null; } catch (e) {
  return { name: e.name, message: e.message, data: e.data }; } };
const say = (value) => console.log(shown(value));
"""


async def node(folder: Path, server: Served, script: str) -> list[Any]:
    """What the script says, one JSON value per line."""
    lines = await _output(folder, server, "node", "--input-type=module", "-e", PRELUDE + textwrap.dedent(script))
    return [json.loads(line) for line in lines]


async def convex_cli(folder: Path, server: Served, *arguments: str) -> str:
    """The standard output of `npx convex …`."""
    program = folder / "node_modules" / "convex" / "bin" / "main.js"
    return "\n".join(await _output(folder, server, "node", str(program), *arguments))


async def _output(folder: Path, server: Served, *command: str) -> list[str]:
    environment = {
        "CONVEX_URL": server.sockets.api_url,
        "CONVEX_SELF_HOSTED_URL": server.sockets.api_url,
        "CONVEX_SELF_HOSTED_ADMIN_KEY": server.host.admin_key,
        "CI": "true",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**_inherited(), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().splitlines()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CONVEX_")}


def test_queries_mutations_and_actions(npm_folder: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MESSAGES) as server:
            said = await node(
                npm_folder,
                server,
                """
                const id = await client.mutation(api.messages.sendOne, { body: "hi", author: "Ada" });
                say(typeof id);
                say(await client.mutation("messages:send_one", { body: "ho", author: "Bob" }) !== id);
                const all = await client.query(api.messages.listAll, {});
                say([all.length, all[0]._id === id, all[0].body, typeof all[0]._creationTime]);
                say(await client.action(api.messages.twice, { number: 2.5 }));
                """,
            )
            assert said == ["string", True, [2, True, "hi", "number"], 5]

    run(story)


def test_values_come_back_as_they_were_sent(npm_folder: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MESSAGES) as server:
            said = await node(
                npm_folder,
                server,
                """
                const echo = (value) => client.query(api.messages.echo, { value });
                say(await echo(5n));
                say(await echo([1, 2.5, -3, "é", true, null]));
                say(await echo(new Uint8Array([1, 2, 255]).buffer));
                say(Object.is(await echo(-0), -0));
                say(Number.isNaN(await echo(NaN)));
                say(await echo(Infinity) === Infinity);
                say(await echo({ nested: { big: -9223372036854775808n } }));
                say((await echo("x".repeat(100000))).length);
                """,
            )
            nested = {"nested": {"big": "-9223372036854775808n"}}
            assert said == ["5n", [1, 2.5, -3, "é", True, None], [1, 2, 255], True, True, True, nested, 100_000]

    run(story)


def test_errors(npm_folder: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path, MESSAGES) as server:
            said = await node(
                npm_folder,
                server,
                """
                say(await error(client.mutation(api.messages.refuse, { data: { code: 5 } })));
                say(await error(client.mutation(api.messages.refuse, { data: null })));
                say(await error(client.mutation(api.messages.crash, {})));
                say(await error(client.query(api.messages.secret, {})));
                say(await error(client.query(api.messages.sendOne, {})));
                client.setAuth("not.a.token");
                say(await error(client.query(api.messages.listAll, {})));
                """,
            )
            refused, null, crashed, hidden, wrong, unauthorised = said
            assert (refused["name"], refused["data"]) == ("ConvexError", {"code": 5})
            assert (null["name"], null["data"]) == ("ConvexError", None)
            assert "Uncaught ValueError: crashed\n    at crash (../convex/messages.py:" in crashed["message"]
            assert "Could not find public function for 'messages:secret'" in hidden["message"]
            assert "defined as Mutation" in wrong["message"]
            assert "NoAuthProvider" in unauthorised["message"]

    run(story)


def test_the_command_line(npm_folder: Path, tmp_path: Path) -> None:
    """`npx convex run` and `env set`, which need no WebSocket."""

    async def story() -> None:
        async with served(tmp_path, MESSAGES) as server:
            sent = await convex_cli(npm_folder, server, "run", "messages:send_one", '{"body": "hi", "author": "Ada"}')
            assert json.loads(sent)
            assert json.loads(await convex_cli(npm_folder, server, "run", "messages:secret")) == "internal"
            await convex_cli(npm_folder, server, "env", "set", "CLIENT_ORIGIN", "https://my.site")
            assert server.host.environment.variables == {"CLIENT_ORIGIN": "https://my.site"}

    run(story)
