"""`--storage`: where `pyconvex start` keeps files, how much memory large ones take, and what it says when it cannot."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.command import command
from support.s3 import CREDENTIALS, fresh_bucket
from support.start import Started, launched, start

MIB = 2**20
SMALL, LARGE = 24 * MIB, 96 * MIB
GROWTH_MIB_MAX = 32
"""A large file takes no more memory than this, beyond what a small one took."""

FILES = """\
from ._generated.server import MutationCtx, QueryCtx, mutation, query


@mutation
async def upload_url(ctx: MutationCtx) -> str:
    return await ctx.storage.generate_upload_url()


@query
async def url(ctx: QueryCtx, id: str):
    return await ctx.storage.get_url(id)
"""
HTTP = """\
from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/file", method="GET")
async def file(ctx, request: Request) -> Response:
    return Response(await ctx.storage.get(request.url.search_params.get("id")))


default = http
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/files.py").write_text(FILES)
    (folder / "convex/http.py").write_text(HTTP)
    return folder


def blocks(size: int) -> Iterator[bytes]:
    for _ in range(0, size, MIB):
        yield bytes(MIB)


def upload(running: Started, size: int) -> str:
    url = urlsplit(str(running.call("mutation", "files:upload_url")["value"]))
    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)) as connection:
        connection.request("POST", f"{url.path}?{url.query}", blocks(size), {"Content-Length": str(size)})
        answer = connection.getresponse()
        return json.loads(answer.read())["storageId"]


def download(port: int, path: str) -> int:
    """How many bytes came."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return sum(map(len, iter(lambda: answer.read(MIB), b"")))


def there_and_back(running: Started, size: int) -> float:
    """Up, down, and down through an HTTP action; the most memory that the server has ever had, in MiB."""
    file = upload(running, size)
    url = urlsplit(str(running.call("query", "files:url", {"id": file})["value"]))
    assert download(running.port, url.path) == size
    assert download(running.site_port, f"/file?id={file}") == size
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


LIMIT = ("--limit", f"http_response_bytes={LARGE}")


def test_large_files_in_a_folder_take_no_memory(project: Path) -> None:
    with start(project, "--storage", "../kept", *LIMIT) as running:
        small = there_and_back(running, SMALL)
        assert there_and_back(running, LARGE) - small < GROWTH_MIB_MAX
        sizes = sorted(path.stat().st_size for path in (project.parent / "kept").rglob("*") if path.is_file())
        assert sizes == [SMALL, LARGE]
        assert not (project / ".pyconvex/files").exists()


def test_large_files_in_a_bucket_take_no_memory(project: Path) -> None:
    with fresh_bucket() as bucket:
        environment = {**CREDENTIALS, "PYCONVEX_STORAGE": bucket.url("chat")}
        with start(project, *LIMIT, environment=environment) as running:
            small = there_and_back(running, SMALL)
            assert there_and_back(running, LARGE) - small < GROWTH_MIB_MAX
            assert len(bucket.keys()) == 2


def test_a_bucket_that_is_not_there(project: Path) -> None:
    with fresh_bucket() as bucket:
        (project / "pyproject.toml").write_text(
            f'[tool.pyconvex]\nstorage = "s3://nobodys-bucket?endpoint={bucket.endpoint}"\n'
        )
        with launched(project, environment=CREDENTIALS) as running:
            assert running.process.wait(30) == 3
            assert running.said == (
                f"error: there is no bucket s3://nobodys-bucket at {bucket.endpoint}\n"
                "hint: create it, or name another one with --storage\n"
            )


def test_dev_shows_where_files_are(project: Path) -> None:
    said = command("dev", "--once", "--storage", "kept", folder=project).stderr
    assert "data in .pyconvex/ · files in kept" in said


@pytest.mark.parametrize(
    "value",
    [
        "",
        "s3://",
        "s3://UPPER",
        "s3://key:secret@bucket",
        "gs://bucket",
        "https://bucket.s3.amazonaws.com",
        "s3://bucket?endpoint=http://a:b@c",
        "s3://bucket?color=red",
        "s3://bucket#x",
        "~nobody-of-this-name/files",
    ],
)
def test_values_that_name_no_storage(project: Path, value: str) -> None:
    ran = command("dev", "--once", "--storage", value, folder=project)
    assert ran.exit_code == 2
    assert "error: --storage must be a folder or s3://BUCKET/PREFIX" in ran.stderr
    assert "secret" not in ran.stderr
    assert "a:b" not in ran.stderr
