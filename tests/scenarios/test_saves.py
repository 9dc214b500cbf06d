"""Saving under load: whatever is saved, no request fails, none mixes versions, and the last good version serves."""

import concurrent.futures
import itertools
import os
import threading
from pathlib import Path

import pytest

from support.dev import Dev, dev, wait_until

SAVES = int(os.environ.get("PYCONVEX_SAVES", "60"))
CLIENTS = 4

GOOD = """\
from pyconvex.server import Request, Response, http_router
from ._generated.server import ActionCtx
from .parts import VERSION

http = http_router()
OWN = {version}


@http.route(path="/version", method="GET")
async def version(ctx: ActionCtx, request: Request) -> Response:
    from . import parts  # looked up while the call runs: it has to be this version's module
    return Response.json([OWN, VERSION, parts.VERSION])


default = http
"""

BROKEN = [
    "this is not Python (",
    "from .nowhere import nothing\n",
    "raise RuntimeError('at import')\n",
    "import surely_not_installed_anywhere\n",
    "http = None\ndefault = None\n",
    "from pyconvex.server import http_router\nhttp = http_router()\n",
    "from pyconvex.server import http_router\ndefault = http_router\n",
    "from pyconvex.server import http_router\ndefault = http_router()\ndefault.route(path='x', method='GET')\n",
    "",
]


class Load:
    """Clients that ask without a pause and keep what they were answered."""

    def __init__(self, running: Dev) -> None:
        self._running = running
        self._stop = threading.Event()
        self.answered = 0
        self.newest = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self._stop.is_set():
            reply = self._running.fetch("GET", "/version")
            if reply.status != 200 or len(set(reply.json)) != 1:
                self.wrong.append(f"{reply.status} {reply.text}")
                return
            self.answered += 1
            self.newest = max(self.newest, reply.json[0])

    def stop(self) -> None:
        self._stop.set()


def _save_version(folder: Path, version: int) -> None:
    (folder / "convex" / "parts.py").write_text(f"VERSION = {version}\n")
    (folder / "convex" / "http.py").write_text(GOOD.format(version=version))


@pytest.mark.faults
def test_no_save_fails_a_request_or_mixes_versions(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    _save_version(tmp_path, 0)
    with dev(tmp_path) as running, concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        load = Load(running)
        clients = [pool.submit(load.run) for _ in range(CLIENTS)]
        try:
            _save_again_and_again(running, load)
        finally:
            load.stop()
        for client in clients:
            client.result()
        assert load.wrong == []
        assert load.answered > SAVES


def _save_again_and_again(running: Dev, load: Load) -> None:
    """Every third save is good and has to be served; the others are broken in different ways and have to be refused."""
    broken = itertools.cycle(BROKEN)
    for number in range(1, SAVES + 1):
        if number % 3:
            _save_broken(running, next(broken))
        else:
            _save_two_files_at_once(running.folder, number)
            wait_until(lambda: load.newest >= number or load.wrong, f"version {number} is served")  # noqa: B023 - waited for here


def _save_broken(running: Dev, text: str) -> None:
    said = running.said.count("not reloaded")
    (running.folder / "convex" / "http.py").write_text(text)
    wait_until(lambda: running.said.count("not reloaded") > said, f"{text!r} is refused")


def _save_two_files_at_once(folder: Path, version: int) -> None:
    """A version that is spread over two files, saved so that no half of it can load alone."""
    (folder / "convex" / "http.py").write_text("from .parts import surely_missing\n")
    (folder / "convex" / "parts.py").write_text(f"VERSION = {version}\n")
    (folder / "convex" / "http.py").write_text(GOOD.format(version=version))
