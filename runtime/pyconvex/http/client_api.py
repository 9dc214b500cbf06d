"""Convex's client API: calling queries, mutations and actions over HTTP.

https://docs.convex.dev/http-api/
"""

import msgspec

from pyconvex.engine.auth.identity import Identity, IdentityKind
from pyconvex.engine.execution import Call
from pyconvex.engine.runner import Outcome
from pyconvex.errors import RequestRefused
from pyconvex.functions.function import Kind

from .asgi import Exchange
from .deployment import Deployment
from .function_answer import answer_of
from .function_request import FunctionRequest, caller, function_asked, function_in_query, function_in_url
from .media import JSON


class ClientApi:
    """The endpoints below `/api/` that run one function.

    All raise `RequestRefused`: 400 for a request that is none, 401 for an authorization that cannot be used.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def query(self, exchange: Exchange) -> None:
        """GET and POST `/api/query`."""
        asked = function_in_query(exchange) if exchange.method in ("GET", "HEAD") else await self._asked(exchange)
        await self._answer(exchange, asked, Kind.QUERY)

    async def mutation(self, exchange: Exchange) -> None:
        """POST `/api/mutation`."""
        await self._answer(exchange, await self._asked(exchange), Kind.MUTATION)

    async def action(self, exchange: Exchange) -> None:
        """POST `/api/action`."""
        await self._answer(exchange, await self._asked(exchange), Kind.ACTION)

    async def function(self, exchange: Exchange) -> None:
        """POST `/api/function`: any kind of function, internal ones with the admin key."""
        await self._answer(exchange, await self._asked(exchange), None)

    async def run(self, exchange: Exchange) -> None:
        """POST `/api/run/<module>/<function>`: as `/api/function`, with the function named by the URL."""
        asked = await function_in_url(exchange, self._deployment.limits.api_request_bytes)
        await self._answer(exchange, asked, None)

    async def report(self, exchange: Exchange) -> None:
        """POST `/api/pyconvex/report`: as `/api/function` for an admin, and what the function read and wrote."""
        call = await caller(exchange, self._deployment)
        if not call.identity.is_admin:
            raise RequestRefused(403, "BadDeployKey", "This endpoint needs the admin key of the deployment")
        asked = await self._asked(exchange)
        outcome = await self._call(asked, call, None, observed=True)
        report = None if outcome.access is None else outcome.access.to_json()
        answer = self._encoded(outcome, asked, call)
        await exchange.respond(200, JSON, b"".join([answer[:-1], b',"report":', msgspec.json.encode(report), b"}"]))

    async def _asked(self, exchange: Exchange) -> FunctionRequest:
        return await function_asked(exchange, self._deployment.limits.api_request_bytes)

    async def _answer(self, exchange: Exchange, asked: FunctionRequest, kind: Kind | None) -> None:
        call = await caller(exchange, self._deployment)
        outcome = await self._call(asked, call, kind)
        await exchange.respond(200, JSON, self._encoded(outcome, asked, call))

    async def _call(self, asked: FunctionRequest, call: Call, kind: Kind | None, *, observed: bool = False) -> Outcome:
        any_kind = kind is None
        return await self._deployment.runner.call(
            asked.path,
            asked.args,
            call,
            kind=kind,
            internal=_may_call_internal(call.identity, any_kind=any_kind),
            text_for_missing="function" if any_kind else "public function",
            observed=observed,
        )

    def _encoded(self, outcome: Outcome, asked: FunctionRequest, call: Call) -> bytes:
        return answer_of(outcome, asked.encode, call.request_id, redact=self._deployment.redact)


def _may_call_internal(identity: Identity, *, any_kind: bool) -> bool:
    """An admin acting as a user reaches internal functions on `/api/query` and its like, but not on `/api/function`."""
    return identity.is_admin and not (any_kind and identity.kind is IdentityKind.ACTING_USER)
