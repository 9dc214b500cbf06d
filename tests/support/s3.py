"""Buckets for tests: moto's S3 in this process, on loopback, started when a test asks for the first one."""

import asyncio
import atexit
import itertools
import logging
import os
import re
import urllib.request
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from unittest.mock import patch

import pytest

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "a secret"}
_numbers = itertools.count(1)


class TestBucket:
    """A bucket, and what is in it."""

    __test__ = False

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name

    def url(self, prefix: str = "") -> str:
        """What `--storage` takes."""
        return f"s3://{self.name}/{prefix}?endpoint={self.endpoint}&region=us-east-1"

    def keys(self) -> list[str]:
        """Everything that is in it."""
        return re.findall(r"<Key>([^<]*)</Key>", self._ask("GET", f"/{self.name}?list-type=2"))

    def unfinished(self) -> list[str]:
        """Uploads in parts that were neither completed nor given up."""
        return re.findall(r"<UploadId>([^<]*)</UploadId>", self._ask("GET", f"/{self.name}?uploads"))

    def create(self) -> None:
        self._ask("PUT", f"/{self.name}")

    def parts(self) -> list[int]:
        """In how many parts each file was uploaded; 1 for a request of its own."""
        tags = re.findall(
            r"<ETag>(?:&quot;|\")\w+-?(\d*)(?:&quot;|\")</ETag>", self._ask("GET", f"/{self.name}?list-type=2")
        )
        return [int(tag or 1) for tag in tags]

    def _ask(self, method: str, path: str) -> str:
        with urllib.request.urlopen(urllib.request.Request(self.endpoint + path, method=method)) as answer:
            return answer.read().decode()


@cache
def endpoint() -> str:
    """Where S3 answers."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@contextmanager
def fresh_bucket() -> Generator[TestBucket]:
    """An empty bucket, with credentials for it in the environment."""
    bucket = TestBucket(endpoint(), f"bucket-{os.getpid()}-{next(_numbers)}")
    bucket.create()
    with patch.dict(os.environ, CREDENTIALS):
        yield bucket


@asynccontextmanager
async def refusing(status: str, code: str = "", body: str | None = None) -> AsyncGenerator[str]:
    """The endpoint of something that answers every request like this."""
    text = body if body is not None else f"<Error><Code>{code}</Code><Message>no</Message></Error>" if code else ""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n"
        writer.write((head + text).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
