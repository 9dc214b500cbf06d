"""`/echo`: what is sent comes back, also to clients that read nothing before they have sent everything."""

import asyncio
import hashlib
import http.client
import random
import re
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyconvex.http import echo
from pyconvex.settings import Limits
from support.served import Served, read_reply, run, served
from support.start import Started, start

MIB = 2**20
GROWTH_MIB_MAX = 16
"""A body of 40 MiB takes no more memory than this, beyond what one of 4 MiB took."""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"m": ""}, limits=Limits(**limits)) as server:
            await story(server)

    run(whole)


def blocks(mebibytes: int) -> Iterator[bytes]:
    chance = random.Random(mebibytes)
    for _ in range(mebibytes):
        yield chance.randbytes(MIB)


def there_and_back(running: Started, mebibytes: int) -> float:
    """Sends everything, then reads; the most memory that the server has ever had, in MiB."""
    sent, heard, size = hashlib.sha256(), hashlib.sha256(), 0

    def body() -> Iterator[bytes]:
        for block in blocks(mebibytes):
            sent.update(block)
            yield block

    with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)) as connection:
        connection.request("POST", "/echo", body(), {"Content-Length": str(mebibytes * MIB)})
        answer = connection.getresponse()
        assert answer.status == 200
        while block := answer.read(MIB):
            heard.update(block)
            size += len(block)
    assert (size, heard.digest()) == (mebibytes * MIB, sent.digest())
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def test_a_large_body_comes_back_whole_and_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "convex").mkdir()
    with start(tmp_path) as running:
        small = there_and_back(running, 4)
        assert there_and_back(running, 40) - small < GROWTH_MIB_MAX


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_bodies_up_to_the_limit(tmp_path: Path, size: int) -> None:
    async def story(server: Served) -> None:
        body = random.Random(size).randbytes(size)
        reply = await server.send("/echo", method="POST", body=body, api=True)
        assert (reply.status, reply.whole, reply.body == body) == (200, True, True)
        assert reply.header("content-length") == str(size)

    serving(tmp_path, story, echo_bytes=3 * MIB)


def test_an_announced_body_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect(api=True)
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (3 * MIB + 1))
        reply = await read_reply(reader)
        assert (reply.status, reply.json["code"]) == (413, "RequestTooLarge")
        assert f"limit: {3 * MIB} bytes" in reply.json["message"]
        writer.transport.abort()

    serving(tmp_path, story, echo_bytes=3 * MIB)


def test_a_body_of_unknown_size_is_refused_when_it_is_too_large(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reader, writer = await server.connect(api=True)
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(4):
            writer.write(b"%x\r\n" % MIB + bytes(MIB) + b"\r\n")
        reply = await read_reply(reader)
        assert (reply.status, reply.json["code"]) == (413, "RequestTooLarge")
        writer.transport.abort()

    serving(tmp_path, story, echo_bytes=3 * MIB)


def test_only_so_many_large_bodies_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "ON_DISK_MAX", 1)
    monkeypatch.setattr(echo, "PATIENCE_SECONDS", 0.05)

    async def story(server: Served) -> None:
        reader, writer = await server.connect(api=True)
        head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (2 * MIB)
        writer.write(head + bytes(2 * MIB - 1))
        while (reply := await server.send("/echo", method="POST", body=bytes(2 * MIB), api=True)).status == 200:
            await asyncio.sleep(0)  # the other one has not got its place yet
        assert (reply.status, reply.json["code"]) == (429, "TooManyConcurrentRequests")
        assert (await server.send("/echo", method="POST", body=b"small", api=True)).text == "small"
        writer.write(b"\0")
        assert (await read_reply(reader)).body == bytes(2 * MIB)
        writer.transport.abort()
        assert (await server.send("/echo", method="POST", body=bytes(2 * MIB), api=True)).status == 200

    serving(tmp_path, story)
