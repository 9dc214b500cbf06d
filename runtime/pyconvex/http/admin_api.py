"""The endpoints that need the admin key: variables, the log, and what the deployment consists of.

Those directly below `/api/` are Convex's own and serve its tools too; `/api/pyconvex/` is ours.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from pyconvex.engine.logs.logs import Completion, LogEntry, to_wire
from pyconvex.engine.session_requests import request_number
from pyconvex.errors import LoadFailed, RequestRefused
from pyconvex.functions.function import Function
from pyconvex.functions.routing.route import Route
from pyconvex.functions.routing.router import HttpRouter
from pyconvex.loading.cors_mentions import sends_cors_headers
from pyconvex.loading.registry import Registry, handler_name, route_place

from .asgi import BodyTooLarge, Exchange
from .authorization import require_admin
from .client_version import wants_structured_lines
from .deployment import Deployment
from .media import JSON

POLL_SECONDS = 60.0
HISTORY_MAX = 10_000

UNSUPPORTED = (
    "/api/actions/",
    "/api/app_metrics/",
    "/api/deploy2/",
    "/api/export/",
    "/api/get_config",
    "/api/import",
    "/api/push_config",
    "/api/run_test_function",
    "/api/shapes2",
)
"""What Convex's tools ask for and pyconvex does not have: answered with 400, since they try a 404 again and again."""


class _Change(msgspec.Struct):
    name: str
    value: str | None


class _Changes(msgspec.Struct):
    changes: list[_Change]


class AdminApi:
    """Each endpoint raises `RequestRefused` 401 for a wrong key and 403 for a caller who is no admin."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def update_environment_variables(self, exchange: Exchange) -> None:
        """POST `{"changes": [{"name", "value" or null to remove}]}`: all of them or none."""
        await require_admin(exchange, self._deployment)
        try:
            body = await exchange.body.read(self._deployment.limits.api_request_bytes)
            changes = msgspec.json.decode(body, type=_Changes).changes
        except BodyTooLarge as error:
            raise RequestRefused(400, "BadJsonBody", error.message) from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RequestRefused(400, "BadJsonBody", f"The body is not a list of changes: {error}") from None
        await self._deployment.environment.set_many({change.name: change.value for change in changes})
        await exchange.respond(200, JSON, b"null")

    async def list_environment_variables(self, exchange: Exchange) -> None:
        """GET: `{"environmentVariables": {name: value}}`."""
        await require_admin(exchange, self._deployment)
        await _send(exchange, {"environmentVariables": dict(self._deployment.environment.variables)})

    async def stream_function_logs(self, exchange: Exchange) -> None:
        """GET `?cursor=<ms>`: the entries newer than that, waiting up to `POLL_SECONDS` for the first.

        With `sessionId` and `clientRequestCounter` only those of that session's request.
        """
        wanted = _session_request(exchange)
        await self._stream(exchange, lambda entry: wanted is None or entry.request_id == wanted)

    async def stream_udf_execution(self, exchange: Exchange) -> None:
        """GET `?cursor=<ms>`: as `stream_function_logs`, but only how functions ended."""
        await self._stream(exchange, lambda entry: isinstance(entry, Completion))

    async def _stream(self, exchange: Exchange, accept: Callable[[LogEntry], bool]) -> None:
        await require_admin(exchange, self._deployment)
        cursor = _number(exchange, "cursor", 0.0)
        entries = await self._deployment.logs.wait(cursor, POLL_SECONDS)
        newest = entries[-1].timestamp * 1000 if entries else cursor
        await self._send_entries(exchange, [entry for entry in entries if accept(entry)], max(newest, cursor))

    async def logs(self, exchange: Exchange) -> None:
        """GET `?history=<count>&since=<ms>`: stored entries, also from before the last start; does not wait."""
        await require_admin(exchange, self._deployment)
        count = int(min(_number(exchange, "history", 100), HISTORY_MAX))
        since = _number(exchange, "since", 0.0)
        logs = self._deployment.logs
        if logs.store is None:
            entries = logs.entries(since)[-count:] if count > 0 else []
        else:
            entries = await asyncio.to_thread(logs.store.newest, count, since=since)
        await self._send_entries(exchange, entries, logs.cursor)

    async def deployment(self, exchange: Exchange) -> None:
        """GET: version, addresses, functions and routes of what is served now."""
        await require_admin(exchange, self._deployment)
        deployment = self._deployment
        registry = deployment.versions.current
        await _send(
            exchange,
            {
                "name": deployment.name,
                "project": deployment.project,
                "version": deployment.version,
                "urls": {"cloud": deployment.urls.cloud, "site": deployment.urls.site},
                "loaded": registry.version,
                **describe(registry),
            },
        )

    async def push(self, exchange: Exchange) -> None:
        """POST: load the functions folder as it is now, and serve it.

        Raises `RequestRefused` 400 `LoadFailed` with the problems of a version that cannot be served, and
        `NotSupported` where several processes serve the deployment.
        """
        await require_admin(exchange, self._deployment)
        if self._deployment.push is None:
            raise RequestRefused(400, "NotSupported", "Several processes serve this deployment: restart them instead")
        try:
            await self._deployment.push()
        except LoadFailed as failed:
            problems = (f"{each.place}: {each.message}" if each.place else each.message for each in failed.problems)
            raise RequestRefused(400, "LoadFailed", "\n".join(problems)) from None
        await _send(exchange, None)

    async def _send_entries(self, exchange: Exchange, entries: list[LogEntry], cursor: float) -> None:
        structured = wants_structured_lines(exchange.header(b"convex-client"))
        newest = entries[-1].timestamp * 1000 if entries else cursor
        shown = [to_wire(entry, structured=structured) for entry in entries]
        await _send(exchange, {"entries": shown, "newCursor": max(newest, cursor)})


def describe(registry: Registry) -> dict[str, Any]:
    """The functions and routes of one loaded version, ready for JSON; places are relative to the project."""
    router = registry.router
    return {
        "functions": [_function(each) for each in registry.functions.values()],
        "routes": [] if router is None else [_route(registry, router, each) for each in router.routes],
        "cors": None if router is None or router.cors is None else router.cors.arguments,
    }


def _function(function: Function) -> dict[str, Any]:
    return {
        "path": function.path,
        "kind": function.kind.value,
        "visibility": function.visibility.value,
        "args": function.args.json() if function.args is not None else {"type": "any"},
        "returns": function.returns.json() if function.returns is not None else {"type": "any"},
        "place": str(function.place),
    }


def _route(registry: Registry, router: HttpRouter, route: Route) -> dict[str, Any]:
    return {
        "path": route.path,
        "method": route.method,
        "handler": handler_name(registry, route),
        "place": str(route_place(registry, route)),
        "form": route.form,
        "namesCors": sends_cors_headers(route, router.middleware),
    }


def _session_request(exchange: Exchange) -> str | None:
    """The request id of what a session asked for; None unless the query names both."""
    fields = parse_qs(exchange.query)
    if not {"sessionId", "clientRequestCounter"} <= fields.keys():
        return None
    try:
        return request_number(fields["sessionId"][0], int(fields["clientRequestCounter"][0]))
    except ValueError:
        raise RequestRefused(400, "BadQueryArgs", "`clientRequestCounter` must be a whole number") from None


def _number(exchange: Exchange, name: str, default: float) -> float:
    given = parse_qs(exchange.query).get(name)
    if given is None:
        return default
    try:
        number = float(given[0])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestRefused(400, "BadQueryArgs", f"`{name}` must be a number")
    return number


async def _send(exchange: Exchange, answer: object) -> None:
    await exchange.respond(200, JSON, msgspec.json.encode(answer))
