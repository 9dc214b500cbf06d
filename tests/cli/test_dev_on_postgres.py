"""`pyconvex dev` on PostgreSQL: where documents are, and what people see when the server goes away."""

import json
from pathlib import Path
from typing import Any

from pyconvex import __version__
from support.dev import Dev, dev, wait_until
from support.postgres import fresh_database, server
from support.proxy import in_between

MODULE = """\
from pyconvex.server import mutation, query


@query
async def listed(ctx) -> list[str]:
    return [message["body"] for message in await ctx.db.query("messages").collect()]


@mutation
async def send(ctx, body: str) -> None:
    await ctx.db.insert("messages", {"body": body})
"""


def call(running: Dev, kind: str, path: str, **args: str) -> Any:
    """The value of a function that succeeds."""
    body = json.dumps({"path": path, "args": args, "format": "json"})
    said = running.fetch("POST", f"/api/{kind}", body, {"content-type": "application/json"}, port=running.port).json
    assert said["status"] == "success", said
    return said["value"]


def test_a_database_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    project = tmp_path / "chat"
    (project / "convex").mkdir(parents=True)
    (project / "convex/messages.py").write_text(MODULE)
    with (
        fresh_database() as name,
        in_between(server().database_url(name)) as (proxy, loop),
        dev(project, "--database", proxy.url) as running,
    ):
        wait_until(lambda: "ready" in running.said, "it is ready")
        shown = proxy.url.partition("?")[0].replace(":@", "@")
        assert running.said.startswith(f"  pyconvex {__version__} · chat · data in {shown}\n")
        call(running, "mutation", "messages:send", body="before")
        proxy.refusing = True
        loop.call_soon_threadsafe(proxy.cut)
        wait_until(lambda: f"  {shown}: the server cannot be reached: " in running.said, "it says so")
        loop.call_soon_threadsafe(setattr, proxy, "refusing", False)
        call(running, "mutation", "messages:send", body="after")
        assert call(running, "query", "messages:listed") == ["before", "after"]
        wait_until(lambda: f"  {shown}: connected again after " in running.said, "it says so")
        assert "Traceback" not in running.said
