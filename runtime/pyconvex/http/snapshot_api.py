"""Queries at one timestamp: several at once, or one after another as of the same moment.

The JavaScript client's `consistentQuery` asks for a timestamp first, and then for each query at it.
"""

from typing import Final

import msgspec

from pyconvex.engine.execution import Call
from pyconvex.engine.runner import Outcome
from pyconvex.errors import RequestRefused
from pyconvex.values.timestamps import decode_timestamp, encode_timestamp

from .asgi import Exchange
from .client_version import default_format
from .deployment import Deployment
from .function_answer import answer_of
from .function_request import FunctionBody, FunctionRequest, body_of, caller, checked
from .media import JSON

QUERIES_MAX: Final = 1000
"""In one batch."""


class _Batch(msgspec.Struct):
    queries: list[FunctionBody]


class _BodyAt(FunctionBody, kw_only=True):
    ts: str


class SnapshotApi:
    """The endpoints below `/api/` that are about timestamps. They raise `RequestRefused` as those of `ClientApi` do."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def query_ts(self, exchange: Exchange) -> None:
        """POST `/api/query_ts`: the timestamp of the latest commit. Whatever the body says is ignored."""
        default_format(exchange.header(b"convex-client"))
        async with self._deployment.store.snapshot() as snapshot:
            ts = snapshot.ts
        await self._deployment.store.hear(ts)
        self._deployment.live.history.begin(ts)
        await exchange.respond(200, JSON, msgspec.json.encode({"ts": encode_timestamp(ts)}))

    async def query_at_ts(self, exchange: Exchange) -> None:
        """POST `/api/query_at_ts`: a query as of a timestamp that is not long ago.

        It runs on the latest snapshot, whose answer is that of the timestamp if nothing it read was written since.

        Raises `RequestRefused` 503 `OutOfRetention` when something was, or when that is not known any more, and 400
        `InvalidTimestamp` for one that is none, or has not come yet.
        """
        body = await body_of(exchange, _BodyAt, self._deployment.limits.api_request_bytes)
        asked = checked(body, default_format(exchange.header(b"convex-client")))
        ts = _timestamp(body.ts)
        call = await caller(exchange, self._deployment)
        latest, [outcome] = await self._at_once([asked], call)
        await self._deployment.store.hear(latest)
        self._check_unchanged(ts, latest, outcome)
        await exchange.respond(200, JSON, self._encoded(outcome, asked, call))

    async def query_batch(self, exchange: Exchange) -> None:
        """POST `/api/query_batch`: queries at one timestamp, answered in their order.

        Raises `RequestRefused` 400 `TooManyQueries` besides.
        """
        fallback = default_format(exchange.header(b"convex-client"))
        queries = (await body_of(exchange, _Batch, self._deployment.limits.api_request_bytes)).queries
        if len(queries) > QUERIES_MAX:
            raise RequestRefused(400, "TooManyQueries", f"A batch holds at most {QUERIES_MAX} queries")
        asked = [checked(query, fallback) for query in queries]
        call = await caller(exchange, self._deployment)
        _, outcomes = await self._at_once(asked, call)
        answers = [self._encoded(outcome, query, call) for query, outcome in zip(asked, outcomes, strict=True)]
        await exchange.respond(200, JSON, b'{"results":[' + b",".join(answers) + b"]}")

    async def _at_once(self, asked: list[FunctionRequest], call: Call) -> tuple[int, list[Outcome]]:
        return await self._deployment.live.at_once([(each.path, each.args, call) for each in asked])

    def _check_unchanged(self, ts: int, latest: int, outcome: Outcome) -> None:
        if ts > latest:
            raise RequestRefused(400, "InvalidTimestamp", "The timestamp has not come yet")
        if ts == latest or outcome.reads is None:
            return
        if self._deployment.live.history.touched_since(ts, outcome.reads) is not False:
            raise RequestRefused(
                503,
                "OutOfRetention",
                "The documents that this query reads have changed since the timestamp. Ask for a new one.",
            )

    def _encoded(self, outcome: Outcome, asked: FunctionRequest, call: Call) -> bytes:
        return answer_of(outcome, asked.encode, call.request_id, redact=self._deployment.redact)


def _timestamp(text: str) -> int:
    try:
        return decode_timestamp(text)
    except ValueError as error:
        raise RequestRefused(400, "InvalidTimestamp", str(error)) from None
