"""The official Python client's HTTP half (PyPI `convex`) against a served deployment."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.served import run, served

MESSAGES = {
    "messages": """
        from pyconvex.server import action, mutation, query
        from pyconvex.values import ConvexError


        @query
        async def echo(ctx, value):
            print("echoing")
            return value


        @mutation
        async def refuse(ctx, data):
            raise ConvexError(data)


        @action
        async def crash(ctx):
            raise ValueError("crashed")
    """
}


def test_the_http_client(tmp_path: Path) -> None:
    convex: Any = pytest.importorskip("convex.http_client")
    library: Any = pytest.importorskip("convex")

    def use(url: str) -> None:
        client = convex.ConvexHttpClient(url)
        for value in (1.5, 5.0, [5.0, "é", None, True], {"a": {"b": 1.0}}, library.ConvexInt64(7), b"bytes"):
            assert client.query("messages:echo", {"value": value}) == value
        with pytest.raises(library.ConvexError) as refused:
            client.mutation("messages:refuse", {"data": {"code": "NO"}})
        assert refused.value.data == {"code": "NO"}
        with pytest.raises(Exception, match="Uncaught ValueError: crashed"):
            client.action("messages:crash")
        client.set_auth("not.a.token")
        with pytest.raises(Exception, match="401 NoAuthProvider"):
            client.query("messages:echo", {"value": 1.0})

    async def story() -> None:
        async with served(tmp_path, MESSAGES) as server:
            await asyncio.to_thread(use, server.sockets.api_url)

    run(story)
