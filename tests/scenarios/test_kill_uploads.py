"""kill -9 in the middle of uploads: what was acknowledged is there, and every file that is there is whole."""

import base64
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.dev import Dev, dev, wait_until

ROUNDS = int(os.environ.get("PYCONVEX_KILL_ROUNDS", "3"))
UPLOADERS = 6
UPLOADS_BEFORE_THE_KILL = 20
CHUNK = bytes(range(256)) * 256
LIMITS = ("--limit", "read_ranges=1000000", "--limit", "read_documents=1000000", "--limit", "query_seconds=30")
"""Of the server that shows all files at once."""

FUNCTIONS = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query


@mutation
async def upload_url(ctx: MutationCtx) -> str:
    return await ctx.storage.generate_upload_url()


@query
async def stored(ctx: QueryCtx):
    files = await ctx.db.system.query("_storage").collect()
    return [{**file, "url": await ctx.storage.get_url(file["_id"])} for file in files]
"""


def call(running: Dev, kind: str, name: str) -> Any:
    body = json.dumps({"path": f"files:{name}", "args": {}, "format": "json"})
    reply = running.fetch("POST", f"/api/{kind}", body, {"Content-Type": "application/json"}, port=running.port)
    assert reply.json["status"] == "success", reply.text
    return reply.json["value"]


def upload(running: Dev, target: str, uploader: int, acknowledged: list[str]) -> None:
    """Upload, each file somewhat larger than the one before, until the server is gone."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        for number in range(100_000):
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            with contextlib.closing(connection):
                connection.request("POST", target, _chunks(uploader, number % 40), encode_chunked=True, headers=_HEAD)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status == 200, text
                acknowledged.append(json.loads(text)["storageId"])


_HEAD = {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}


def _chunks(uploader: int, count: int) -> Iterator[bytes]:
    yield f"uploader {uploader}".encode()
    for _ in range(count):
        yield CHUNK


@pytest.mark.faults
def test_kill_leaves_whole_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "files.py").write_text(FUNCTIONS)
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        before = len(acknowledged)
        with dev(tmp_path) as running, concurrent.futures.ThreadPoolExecutor(UPLOADERS) as pool:
            url = urlsplit(str(call(running, "mutation", "upload_url")))
            target = f"{url.path}?{url.query}"
            tasks = [pool.submit(upload, running, target, number, acknowledged) for number in range(UPLOADERS)]
            wait_until(lambda: len(acknowledged) >= before + UPLOADS_BEFORE_THE_KILL, "uploads are acknowledged")  # noqa: B023
            running.kill()
            for task in tasks:
                task.result()
    _check(tmp_path, set(acknowledged))


def _check(folder: Path, acknowledged: set[str]) -> None:
    with dev(folder, *LIMITS) as running:
        stored = call(running, "query", "stored")
        assert acknowledged <= {file["_id"] for file in stored}
        for file in stored:
            reply = running.fetch("GET", urlsplit(str(file["url"])).path, port=running.port)
            assert (reply.status, len(reply.body)) == (200, file["size"])
            assert reply.headers["digest"] == f"sha-256={file['sha256']}"
            assert base64.b64encode(hashlib.sha256(reply.body).digest()).decode() == file["sha256"]
        [mine] = (folder / ".pyconvex" / "files").iterdir()
        assert [*(mine / "incoming").iterdir()] == [], "what was cut short is cleared away"
        kept = [path for path in mine.rglob("*") if path.is_file()]
        assert len(kept) - len(stored) <= ROUNDS * UPLOADERS, "orphans, which are swept when they are old enough"
