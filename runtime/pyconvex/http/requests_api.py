"""The endpoints of the journal of requests: what came in, one request whole, and one request again.

They need the admin key, as those of `admin_api`, and answer only where requests are kept: under `pyconvex dev`.
"""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import parse_qs

import msgspec

from pyconvex.engine.requests.kept_requests import KeptRequest
from pyconvex.engine.requests.redaction import redacted_body, redacted_header, redacted_query
from pyconvex.engine.requests.request_journal import Replay, RequestJournal
from pyconvex.errors import RequestRefused

from .actions import REPLAY
from .asgi import Asgi, BodyTooLarge, Exchange, Message, Scope
from .authorization import require_admin
from .deployment import Deployment
from .media import JSON
from .proxies import HOST

REPLAY_SECONDS = 60.0
"""How long the answer to a request that is sent again is waited for; a stream may have no end."""
ANSWER_BYTES_MAX = 2**20
"""How much of that answer is handed on."""
MATCHES_SHOWN = 5


class _Again(msgspec.Struct):
    id: str


class RequestsApi:
    """Each endpoint raises `RequestRefused`: 401 or 403 without the admin key, 400 `NotSupported` without a journal,
    404 `UnknownRequest` and 400 `AmbiguousRequest` for an id that names none or several.

    Arguments:
        app: the whole application, for sending a request again.
        site_port: the port of HTTP actions, once it is known.
    """

    def __init__(self, deployment: Deployment, app: Asgi, site_port: Callable[[], int | None]) -> None:
        self._deployment = deployment
        self._app = app
        self._site_port = site_port

    async def list(self, exchange: Exchange) -> None:
        """GET: `{"requests": [...]}`, in the order in which they ended, without headers and bodies.

        Secrets in queries are hidden; `tookMs` is null while a request is in progress.
        """
        journal = await self._journal(exchange)
        kept = await asyncio.to_thread(journal.newest, self._deployment.limits.journal_requests)
        await _send(exchange, {"requests": [_summary(each, secrets=False) for each in kept]})

    async def show(self, exchange: Exchange) -> None:
        """GET `?id=<beginning of an id, or last>`: one whole, its body in base64.

        Secrets are hidden, in the body too where it is JSON or a form, unless `&secrets=true`.
        """
        journal = await self._journal(exchange)
        query = parse_qs(exchange.query)
        kept = await self._find(journal, query.get("id", [""])[0])
        await _send(exchange, _whole(kept, secrets=query.get("secrets") == ["true"]))

    async def replay(self, exchange: Exchange) -> None:
        """POST `{"id"}`: send a kept request to the HTTP actions again, as they are now.

        What verifies webhooks takes it as it was when it came first: its signature counts as much as then, and its
        replay window is measured from that time. This is told inside the process, so nobody else can ask for it.

        Raises `RequestRefused` 400 `RequestNotWhole` where not all of its body was kept.
        """
        journal = await self._journal(exchange)
        kept = await self._find(journal, await self._asked(exchange))
        if not kept.whole:
            raise RequestRefused(400, "RequestNotWhole", _why_not_whole(kept, journal.body_bytes_max))
        replay, answer, began = Replay(kept), _Answer(kept.body), monotonic()
        task = asyncio.create_task(self._run(self._scope(kept, replay), answer))
        done, _ = await asyncio.wait([task], timeout=REPLAY_SECONDS)
        if not done:
            task.cancel()
            await asyncio.wait([task])
        shown = {"id": replay.id, "was": kept.status, "tookMs": (monotonic() - began) * 1000, **answer.json()}
        await _send(exchange, {**_summary(kept, secrets=False), **shown, "replayOf": kept.id})

    async def _run(self, scope: Scope, answer: "_Answer") -> None:
        await self._app(scope, answer.receive, answer.send)

    async def _journal(self, exchange: Exchange) -> RequestJournal:
        await require_admin(exchange, self._deployment)
        if self._deployment.journal is None:
            raise RequestRefused(
                400, "NotSupported", "Requests are kept while one develops (`pyconvex dev`); this deployment keeps none"
            )
        return self._deployment.journal

    async def _asked(self, exchange: Exchange) -> str:
        try:
            body = await exchange.body.read(self._deployment.limits.api_request_bytes)
            return msgspec.json.decode(body, type=_Again).id
        except BodyTooLarge as error:
            raise RequestRefused(400, "BadJsonBody", error.message) from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RequestRefused(400, "BadJsonBody", f'The body is not {{"id": …}}: {error}') from None

    async def _find(self, journal: RequestJournal, id: str) -> KeptRequest:
        found = await asyncio.to_thread(journal.find, id) if id else []
        if not found:
            raise RequestRefused(404, "UnknownRequest", f"No request that is kept has the id {id!r:.60}")
        if len(found) > 1:
            ids = ", ".join(each.id for each in found[:MATCHES_SHOWN])
            raise RequestRefused(
                400, "AmbiguousRequest", f"{len(found)} requests have ids that begin with {id!r}: {ids}"
            )
        return found[0]

    def _scope(self, kept: KeptRequest, replay: Replay) -> Scope:
        told = {} if kept.host is None else {HOST: kept.host.encode("latin-1")}
        return {
            **told,
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": kept.method,
            "scheme": kept.scheme,
            "path": kept.path,
            "raw_path": kept.path.encode("latin-1"),
            "query_string": kept.query.encode("latin-1"),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers],
            "client": None if kept.client is None else (kept.client, 0),
            "server": ("", self._site_port()),
            "state": {},
            "extensions": {},
            REPLAY: replay,
        }


class _Answer:
    """The client's side of a request that is sent again."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._head: Message | None = None
        self._kept = bytearray()
        self._size = 0
        self._ended = False

    async def receive(self) -> Message:
        if self._body is None:
            return await asyncio.get_running_loop().create_future()  # the client stays until it has the whole answer
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
        elif message["type"] == "http.response.body":
            part: bytes = message.get("body", b"")
            self._size += len(part)
            self._kept += part[: ANSWER_BYTES_MAX - len(self._kept)]
            self._ended = not message.get("more_body", False)

    def json(self) -> dict[str, Any]:
        head = self._head or {"status": 0, "headers": []}
        return {
            "status": head["status"],
            "headers": [[bytes(each).decode("latin-1") for each in pair] for pair in head["headers"]],
            "body": b64encode(self._kept).decode(),
            "bodyBytes": self._size,
            "whole": self._ended and self._size == len(self._kept),
        }


def _summary(kept: KeptRequest, *, secrets: bool) -> dict[str, Any]:
    query = kept.query if secrets else redacted_query(kept.query)
    return {
        "id": kept.id,
        "ts": kept.at_ms,
        "method": kept.method,
        "path": f"{kept.path}?{query}" if query else kept.path,
        "status": kept.status,
        "tookMs": kept.took_ms,
        "bodyBytes": kept.body_bytes,
        "whole": kept.whole,
        "client": kept.client,
        "replayOf": kept.replay_of,
    }


def _whole(kept: KeptRequest, *, secrets: bool) -> dict[str, Any]:
    headers, body = kept.headers, kept.body
    if not secrets:
        content_type = next((value for name, value in headers if name == "content-type"), "")
        headers = [(name, redacted_header(name, value)) for name, value in headers]
        body = redacted_body(body, content_type)
    shown = {"headers": headers, "body": b64encode(body).decode(), "redacted": not secrets}
    return {**_summary(kept, secrets=secrets), **shown}


def _why_not_whole(kept: KeptRequest, limit: int) -> str:
    if kept.body_bytes > limit:
        return (
            f"The request {kept.id} cannot be sent again: its body has {kept.body_bytes} bytes, "
            f"and {limit} are kept (the limit journal_body_bytes)"
        )
    if kept.took_ms is None:
        return f"The request {kept.id} cannot be sent again while it is in progress"
    return f"The request {kept.id} cannot be sent again: not all of its body arrived"


async def _send(exchange: Exchange, answer: object) -> None:
    await exchange.respond(200, JSON, msgspec.json.encode(answer))
