"""A closed-loop load generator: keep-alive connections that each send the next request when the last is answered."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


@dataclass(slots=True)
class Tally:
    answered: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds


class _Client(asyncio.Protocol):
    def __init__(self, request: Callable[[], bytes], tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._received = b""
        self.running = True
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not separator or length is None or len(body) < int(length[1]):
            return
        if head[9:12] == b"200":
            self._tally.answered += 1
        else:
            self._tally.failed += 1
        self._received = b""
        if self.running:
            self.transport.write(self._request())
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.running:
            self._tally.failed += 1
        if not self.closed.done():
            self.closed.set_result(None)


async def _drive(port: int, request: Callable[[], bytes], connections: int, seconds: float) -> Tally:
    loop = asyncio.get_running_loop()
    tally = Tally()
    clients = [
        (await loop.create_connection(lambda: _Client(request, tally), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    tally.answered = 0
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    tally.seconds = time.perf_counter() - begun
    answered = tally.answered
    for client in clients:
        client.running = False
    await asyncio.wait([client.closed for client in clients], timeout=10)
    tally.answered = answered
    return tally


def drive(port: int, request: Callable[[], bytes], *, connections: int, seconds: float) -> Tally:
    """Load `port` for `seconds` and count what was answered with 200 in that time."""
    tally = asyncio.run(_drive(port, request, connections, seconds))
    if tally.failed or not tally.answered:
        raise RuntimeError(f"{tally.failed} requests failed beside {tally.answered} answered ones")
    return tally


def get_request(path: str) -> Callable[[], bytes]:
    message = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    return lambda: message


def post_requests(path: str, body: Callable[[int], bytes]) -> Callable[[], bytes]:
    """Requests with bodies numbered from 0."""
    count = itertools.count()

    def request() -> bytes:
        data = body(next(count))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        )
        return f"{head}\r\n\r\n".encode() + data

    return request
