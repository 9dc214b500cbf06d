"""The endpoints of the API: which path and method is whose."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from pyconvex.errors import RequestRefused

from .admin_api import AdminApi
from .asgi import Exchange
from .client_api import ClientApi
from .cors import answer_preflight
from .deployment import Deployment
from .health import PATH as HEALTH
from .health import Health
from .media import BYTES, TEXT
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
    timely = partial(_within, deployment.limits.api_request_seconds)
    exact: dict[str, dict[str, Endpoint]] = {
        "/": _get(_text("This Convex deployment is running. See https://docs.convex.dev/.")),
        "/version": _get(_text(deployment.version)),
        "/instance_version": _get(_text(deployment.version)),
        "/instance_name": _get(_text(deployment.name)),
        HEALTH: _get(health.answer),
        "/echo": {"POST": _echo(deployment.limits.api_request_bytes)},
        "/api/query": {**_get(timely(client.query)), "POST": timely(client.query)},
        "/api/public_openapi.json": _get(OpenApi(deployment).answer),
        "/api/query_ts": {"POST": snapshots.query_ts},
        "/api/query_at_ts": {"POST": timely(snapshots.query_at_ts)},
        "/api/query_batch": {"POST": timely(snapshots.query_batch)},
        "/api/mutation": {"POST": timely(client.mutation)},
        "/api/action": {"POST": timely(client.action)},
        "/api/function": {"POST": timely(client.function)},
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
        "/api/run/": {"POST": timely(client.run)},
        "/api/storage/": _get(storage.download),
    }
    for methods in (*exact.values(), *prefixed.values()):
        methods["OPTIONS"] = answer_preflight
    return exact, list(prefixed.items())


def _get(endpoint: Endpoint) -> dict[str, Endpoint]:
    return {"GET": endpoint, "HEAD": endpoint}


def _within(seconds: float, endpoint: Endpoint) -> Endpoint:
    """The endpoint, which gives up after so many seconds and answers 408."""

    async def answer(exchange: Exchange) -> None:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await endpoint(exchange)
        except TimeoutError:
            if limit.expired():
                raise RequestRefused(408, "RequestTimeout", f"The request took more than {seconds:g} s") from None
            raise

    return answer


def _text(text: str) -> Endpoint:
    async def answer(exchange: Exchange) -> None:
        await exchange.respond(200, TEXT, text.encode())

    return answer


def _echo(limit: int) -> Endpoint:
    """What was sent, up to `limit` bytes."""

    async def answer(exchange: Exchange) -> None:
        await exchange.respond(200, BYTES, await exchange.body.read(limit))

    return answer
