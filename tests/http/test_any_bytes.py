"""Whatever bytes come to the site port, the server goes on serving, and its memory is bounded.

`make nightly` sends as many cases as `PYCONVEX_FUZZED` says, halved.
"""

import asyncio
import contextlib
import gc
import logging
import os
import re
import socket
import tracemalloc
from collections import Counter
from collections.abc import Generator, Iterator
from itertools import repeat
from pathlib import Path
from random import Random

import pytest

from pyconvex.settings import Limits
from support.fuzzed_bytes import any_bytes, cut
from support.raw_http import HTTP, STATUS_LINE
from support.served import PATIENCE_SECONDS, Served, run, served

CASES = int(os.environ.get("PYCONVEX_FUZZED", "3000")) // 2
SEED = int(os.environ.get("PYCONVEX_SEED", "5"))
CLIENTS = 4
GROWTH_MAX = 16 * 2**20
"""What the allocator may hold more of after all cases than after the first ones; a leak of 1 KiB a case is more."""
CRASHED = re.compile(rb"^HTTP/1\.1 500 ", re.MULTILINE)
TIMES = Limits(request_head_seconds=1, request_idle_seconds=1, keep_alive_seconds=1)


async def answered(server: Served, parts: list[bytes]) -> bytes:
    """What comes back to these bytes until the server hangs up, which it does soon after its client ended."""
    reader, writer = await server.connect()
    answer = b""
    with contextlib.suppress(OSError):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        writer.write_eof()
        answer = await reader.read()
    writer.transport.abort()
    return answer


async def send_cases(server: Served, random: Random, count: int, seen: Counter[bytes]) -> None:
    for number in range(count):
        text = any_bytes(random)
        answer = await answered(server, cut(random, text))
        assert not CRASHED.search(answer), text
        seen.update(STATUS_LINE.findall(answer) or [b"none"])
        if number % 50 == 0:
            fine = await server.send("/fine")
            assert (fine.status, fine.text) == (200, "GET /fine ")
            server.entries.clear()
            server.host.registry.modules["http"].seen.clear()


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says how much memory is resident")
def test_any_bytes_leave_the_server_serving(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: Counter[bytes] = Counter()

    async def send(server: Served, first: int, cases: int) -> None:
        each = cases // CLIENTS
        await asyncio.gather(*(send_cases(server, Random(first + n), each, seen) for n in range(CLIENTS)))

    async def story() -> None:
        async with served(tmp_path, {"http": HTTP}, limits=TIMES) as server:
            await send(server, SEED * 100, CASES // 3)
            tasks, memory = len(asyncio.all_tasks()), resident_bytes()
            await send(server, SEED * 100 + CLIENTS, CASES - CASES // 3)
            await server.until(lambda: len(asyncio.all_tasks()) <= tasks)
            assert resident_bytes() - memory < GROWTH_MAX

    asyncio.run(asyncio.wait_for(story(), PATIENCE_SECONDS + CASES / 25))
    assert min(seen[b"200"], seen[b"400"]) > CASES / 20, "the generator makes good requests and bad ones"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
BLOCK = b"a" * 65536

ENDLESS: dict[str, tuple[bytes, bytes, set[int]]] = {
    "request line": (b"GET /", BLOCK, {431}),
    "header": (HEAD + b"x: ", BLOCK, {431}),
    "headers": (HEAD, b"x: y\r\n" * 5000, {431}),
    "empty headers": (HEAD, b"x:\r\n" * 5000, {431}),
    "body": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999\r\n\r\n", BLOCK, {413}),
    "chunks": (CHUNKED, b"10000\r\n" + BLOCK + b"\r\n", {413}),
    "small chunks": (CHUNKED, b"1\r\na\r\n" * 5000, {413}),
    "one chunk": (CHUNKED + b"fffffffffff\r\n", BLOCK, {413}),
    "chunk size": (CHUNKED, b"0" * 65536, {400}),
    "chunk extension": (CHUNKED + b"1;", BLOCK, {400}),
    "trailer": (CHUNKED + b"0\r\nx: ", BLOCK, {400, 431}),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 5000, {400, 431}),
    "bytes after the last request": (HEAD + b"connection: close\r\n\r\n", BLOCK, {200}),
    "bytes after what was refused": (b"nonsense\r\n\r\n", BLOCK, {400}),
    "requests whose answers nobody reads": (b"", (HEAD + b"\r\n") * 1000, {200}),
    "bytes after a handshake": (
        HEAD + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        BLOCK,
        {400, 404, 501},
    ),
}
SENT_MAX = 16 * 2**20
PEAK_MAX = 6 * 2**20


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_not_kept(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyconvex.http.request_body.LINGER_SECONDS", 0.2)
    start, block, statuses = ENDLESS[name]

    async def story() -> None:
        limits = Limits(http_request_bytes=2**13, response_idle_seconds=0.5, request_head_seconds=5)
        async with served(tmp_path, {"http": HTTP}, limits=limits) as server:
            assert (await server.send("/fine")).status == 200
            server.sockets.site.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            with traced():
                answer = await asyncio.to_thread(send_on, server.sockets.site_port, start, repeat(block))
                _, peak = tracemalloc.get_traced_memory()
            assert peak < PEAK_MAX
            assert {int(status) for status in STATUS_LINE.findall(answer)} <= statuses
            assert (await server.send("/fine")).status == 200

    run(story)


@contextlib.contextmanager
def traced() -> Generator[None, None, None]:
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def send_on(port: int, start: bytes, blocks: Iterator[bytes]) -> bytes:
    """Send until the server does not want any more; what it said by then."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        with contextlib.suppress(ConnectionError):
            client.sendall(start)
            sent = 0
            while sent < SENT_MAX:
                block = next(blocks)
                client.sendall(block)
                sent += len(block)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = client.recv(65536)
        return answer
