"""The barest WebSocket hub: what is sent to `/push?<bytes>` goes out to every `/sub`, as a message of so many bytes.

Each message begins with the time at which its broadcast began, in nanoseconds since 1970.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

clients: set[Callable[[Any], Awaitable[None]]] = set()


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/push":
            await push(int(scope["query_string"]), receive)
        else:
            await subscribe(receive, send)


async def push(size: int, receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] == "websocket.receive":
        text = str(time.time_ns()).ljust(size, "x")
        for client in list(clients):
            await client({"type": "websocket.send", "text": text})


async def subscribe(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    clients.add(send)
    try:
        while (await receive())["type"] == "websocket.receive":
            pass
    finally:
        clients.discard(send)
