"""A client of the sync protocol over a real WebSocket, which says and hears one message at a time."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncGenerator
from typing import Any, Protocol
from uuid import uuid4

from wsproto.events import CloseConnection

from pyconvex.values.timestamps import decode_timestamp

from .web_sockets import web_socket

NPM_PATH = "/api/1.48.0/sync"
PYTHON_PATH = "/api/sync"
Message = dict[str, Any]

ZERO: Message = {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}


class Closed(Exception):
    """The server has closed the connection."""

    def __init__(self, frame: CloseConnection | None) -> None:
        super().__init__(f"closed: {frame}")
        self.code = None if frame is None else frame.code
        self.reason = None if frame is None else frame.reason


class Socket(Protocol):
    """The client's end of a WebSocket."""

    def say(self, message: str | object) -> None: ...
    async def text(self) -> str | None: ...
    async def closed(self) -> CloseConnection | None: ...
    def abort(self) -> None: ...


class SyncClient:
    """Checks of every message what the official clients check, and keeps the results of its queries."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.version: Message = ZERO
        self.results: dict[int, Any] = {}
        """By query id: the value, or the text of the error."""
        self._requests = itertools.count()

    def say(self, kind: str, **fields: object) -> None:
        self.socket.say({"type": kind, **fields})

    def connect(self, session: str | None = None, count: int = 0, **fields: object) -> None:
        self.say("Connect", sessionId=session or str(uuid4()), connectionCount=count, clientTs=0, **fields)

    def modify(self, base: int, *modifications: Message) -> None:
        self.say("ModifyQuerySet", baseVersion=base, newVersion=base + 1, modifications=modifications)

    def mutate(self, path: str, request: int | None = None, **args: object) -> int:
        return self._ask("Mutation", path, request, args)

    def act(self, path: str, request: int | None = None, **args: object) -> int:
        return self._ask("Action", path, request, args)

    async def told(self) -> Message:
        """The next message. Raises `Closed`."""
        text = await self.socket.text()
        if text is None:
            raise Closed(await self.socket.closed())
        message: Message = json.loads(text)
        if message["type"] == "Transition":
            assert message["startVersion"] == self.version
            self.version = message["endVersion"]
            for each in message["modifications"]:
                self._keep(each)
        return message

    async def until(self, kind: str) -> Message:
        """The next message of one type."""
        while (message := await self.told())["type"] != kind:
            pass
        return message

    async def until_identity(self, version: int) -> None:
        """Everything up to the Transition that answers the Authenticate of this number."""
        while self.version["identity"] < version:
            await self.told()

    async def ended(self, request: int) -> Message:
        """The response to a request, once a Transition behind it shows what it did."""
        while (message := await self.told()).get("requestId") != request:
            pass
        done = decode_timestamp(message.get("ts") or ZERO["ts"])
        await self.until("Transition")
        while decode_timestamp(self.version["ts"]) < done:
            await self.told()
        return message

    async def closed(self) -> CloseConnection | None:
        return await self.socket.closed()

    def _ask(self, kind: str, path: str, request: int | None, args: Message) -> int:
        number = next(self._requests) if request is None else request
        self.say(kind, requestId=number, udfPath=path, args=[args])
        return number

    def _keep(self, modification: Message) -> None:
        if modification["type"] == "QueryRemoved":
            self.results.pop(modification["queryId"], None)
        else:
            self.results[modification["queryId"]] = modification.get("value", modification.get("errorMessage"))


def add(query_id: int, path: str, journal: str | None = None, /, **args: object) -> Message:
    """A query to subscribe to."""
    return {"type": "Add", "queryId": query_id, "udfPath": path, "args": [args], "journal": journal}


def remove(query_id: int) -> Message:
    return {"type": "Remove", "queryId": query_id}


@contextlib.asynccontextmanager
async def sync_client(
    port: int, path: str = NPM_PATH, headers: dict[str, str] | None = None
) -> AsyncGenerator[SyncClient]:
    """A client that has not said anything yet. Raises `Refused`."""
    async with web_socket(port, path, headers) as socket:
        yield SyncClient(socket)
