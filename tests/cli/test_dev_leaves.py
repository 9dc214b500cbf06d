"""Ctrl-C ends `pyconvex dev` soon, whatever functions of the user are at: it waits for none that does not end."""

import time
from http.client import HTTPConnection
from pathlib import Path

import pytest

from support.dev import dev, wait_until

HTTP = """\
import asyncio
import time

from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/waits", method="GET")
async def waits(ctx, request: Request) -> Response:
    print("it runs")
    await asyncio.sleep(300)
    return Response()


@http.route(path="/blocks-a-thread", method="GET")
async def blocks_a_thread(ctx, request: Request) -> Response:
    print("it runs")
    await asyncio.to_thread(time.sleep, 300)
    return Response()


@http.route(path="/swallows-its-end", method="GET")
async def swallows_its_end(ctx, request: Request) -> Response:
    print("it runs")
    for _ in range(100):
        try:
            await asyncio.sleep(300)
        except asyncio.CancelledError:
            pass
    return Response()


@http.route(path="/streams", method="GET")
async def streams(ctx, request: Request) -> Response:
    async def parts():
        print("it runs")
        while True:
            yield "more"
            await asyncio.sleep(0.01)

    return Response(parts())


default = http
"""


@pytest.mark.parametrize("path", ["/waits", "/blocks-a-thread", "/swallows-its-end", "/streams"])
def test_ctrl_c_while_a_function_runs(tmp_path: Path, path: str) -> None:
    project = tmp_path / "app"
    (project / "convex").mkdir(parents=True)
    (project / "convex/http.py").write_text(HTTP)
    with dev(project) as running:
        wait_until(lambda: "ready in" in running.said, "it is ready")
        connection = HTTPConnection("127.0.0.1", running.site_port)
        connection.request("GET", path)
        wait_until(lambda: "it runs" in running.said, "the function runs")
        begun = time.monotonic()
        assert running.interrupt() == 130
        assert time.monotonic() - begun < 3  # a second where the machine has nothing else to do
        connection.close()
        assert "Traceback" not in running.said
        assert "never" not in running.said
        assert not (project / ".pyconvex/server.json").exists()
