"""The endpoints of the API: which path and method is whose."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from pyconvex.engine.permits import Permits
from pyconvex.errors import RequestRefused
from pyconvex.settings import Limits

from .admin_api import AdminApi
from .asgi import ClientGone, Exchange
from .client_api import ClientApi
from .cors import answer_preflight
from .deployment import Deployment
from .echo import Echo
from .health import PATH as HEALTH
from .health import Health
from .media import TEXT
from .openapi import OpenApi
from .requests_api import RequestsApi
from .snapshot_api import SnapshotApi
from .storage_api import StorageApi
from .watch_api import WatchApi

Endpoint = Callable[[Exchange], Awaitable[None]]
Methods = Mapping[str, Endpoint]


def endpoints_of(
    deployment: Deployment, health: Health, watches: WatchApi, requests: RequestsApi
) -> tuple[Mapping[str, Methods], list[tuple[str, Methods]]]:
    """Every path the API claims, and every prefix of paths; each with a preflight."""
    client, snapshots = ClientApi(deployment), SnapshotApi(deployment)
    admin, storage = AdminApi(deployment), StorageApi(deployment)
    limits = deployment.limits
    in_turn = partial(_in_turn, places=_places(limits), seconds=limits.api_request_seconds)
    exact: dict[str, dict[str, Endpoint]] = {
        "/": _get(_text("This Convex deployment is running. See https://docs.convex.dev/.")),
        "/version": _get(_text(deployment.version)),
        "/instance_version": _get(_text(deployment.version)),
        "/instance_name": _get(_text(deployment.name)),
        HEALTH: _get(health.answer),
        "/echo": {"POST": Echo(limits).answer},
        "/api/query": {**_get(in_turn(client.query)), "POST": in_turn(client.query)},
        "/api/public_openapi.json": _get(OpenApi(deployment).answer),
        "/api/query_ts": {"POST": in_turn(snapshots.query_ts)},
        "/api/query_at_ts": {"POST": in_turn(snapshots.query_at_ts)},
        "/api/query_batch": {"POST": in_turn(snapshots.query_batch)},
        "/api/mutation": {"POST": in_turn(client.mutation)},
        "/api/action": {"POST": in_turn(client.action)},
        "/api/function": {"POST": in_turn(client.function)},
        "/api/update_environment_variables": {"POST": admin.update_environment_variables},
        "/api/list_environment_variables": _get(admin.list_environment_variables),
        "/api/stream_function_logs": _get(admin.stream_function_logs),
        "/api/app_metrics/stream_function_logs": _get(admin.stream_function_logs),
        "/api/stream_udf_execution": _get(admin.stream_udf_execution),
        "/api/pyconvex/deployment": _get(admin.deployment),
        "/api/pyconvex/logs": _get(admin.logs),
        "/api/pyconvex/push": {"POST": admin.push},
        "/api/pyconvex/replay": {"POST": requests.replay},
        "/api/pyconvex/report": {"POST": client.report},
        "/api/pyconvex/request": _get(requests.show),
        "/api/pyconvex/requests": _get(requests.list),
        "/api/pyconvex/watch": {"POST": watches.watch},
        "/api/storage/upload": {"POST": storage.upload},
    }
    prefixed: dict[str, dict[str, Endpoint]] = {
        "/api/run/": {"POST": in_turn(client.run)},
        "/api/storage/": _get(storage.download),
    }
    for methods in (*exact.values(), *prefixed.values()):
        methods["OPTIONS"] = answer_preflight
    return exact, list(prefixed.items())


def _get(endpoint: Endpoint) -> dict[str, Endpoint]:
    return {"GET": endpoint, "HEAD": endpoint}


def _places(limits: Limits) -> Permits:
    """For calls of functions: the administration has to get through when they are too many, and streams would stay."""
    return Permits(
        limits.concurrent_api_requests,
        "Too many calls are waiting for their turn. Try again later.",
        "Make the functions shorter, or raise the limit `concurrent_api_requests`.",
        waiting_max=limits.waiting_api_requests,
    )


def _in_turn(endpoint: Endpoint, places: Permits, seconds: float) -> Endpoint:
    """The endpoint for as many requests at once as there are places. Each has so many seconds in all; 408 ends it then.

    A client that sends slowly holds no place meanwhile, as long as its body is not a large one.
    """

    async def answer(exchange: Exchange) -> None:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await exchange.body.gather()
                waits = not places.take()
                if waits:
                    await places.acquire()
                try:
                    if waits and exchange.body.look():
                        raise ClientGone  # nobody wants it any more
                    await endpoint(exchange)
                finally:
                    places.release()
        except TimeoutError:
            if limit.expired():
                raise RequestRefused(408, "RequestTimeout", f"The request took more than {seconds:g} s") from None
            raise

    return answer


def _text(text: str) -> Endpoint:
    async def answer(exchange: Exchange) -> None:
        await exchange.respond(200, TEXT, text.encode())

    return answer
