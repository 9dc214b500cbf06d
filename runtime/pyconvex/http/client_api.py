"""Convex's client API: calling queries, mutations and actions over HTTP.

https://docs.convex.dev/http-api/
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, unquote

import msgspec

from pyconvex.clock import request_id
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.identity import Identity, IdentityKind
from pyconvex.engine.runner import Outcome
from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.functions.function import Kind
from pyconvex.values.value import Undefined, Value
from pyconvex.values.wire import decode, encode, encode_clean, encode_export

from .asgi import BodyTooLarge, Exchange
from .authorization import identify
from .client_version import default_format
from .deployment import Deployment
from .media import JSON

Shape = TypeVar("Shape", bound=msgspec.Struct)

ERROR_BYTES_MAX = 65_536

_FORMATS: dict[str, Callable[[Value], bytes]] = {
    "json": encode_clean,
    "convex_clean_json": encode_clean,
    "convex_encoded_json": encode,
    "convex_json": encode,
    "export_json": encode_export,
}
_PATH = re.compile(r"(?:[A-Za-z0-9_]+/)*[A-Za-z0-9_]+(?:\.js|\.py)?(?::[^\W\d]\w*)?")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")


class _Body(msgspec.Struct):
    args: msgspec.Raw
    path: str = ""
    format: str | None = None
    component_path: str | None = msgspec.field(name="componentPath", default=None)


@dataclass(frozen=True, slots=True)
class FunctionRequest:
    """One function call as a client asked for it, checked as far as that goes without knowing the function."""

    path: str
    args: object
    encode: Callable[[Value], bytes]


class ClientApi:
    """The endpoints below `/api/` that run functions."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def query(self, exchange: Exchange) -> None:
        """GET and POST `/api/query`."""
        asked = _from_query(exchange) if exchange.method in ("GET", "HEAD") else await self._read(exchange)
        await self._answer(exchange, asked, Kind.QUERY)

    async def mutation(self, exchange: Exchange) -> None:
        """POST `/api/mutation`."""
        await self._answer(exchange, await self._read(exchange), Kind.MUTATION)

    async def action(self, exchange: Exchange) -> None:
        """POST `/api/action`."""
        await self._answer(exchange, await self._read(exchange), Kind.ACTION)

    async def function(self, exchange: Exchange) -> None:
        """POST `/api/function`: any kind of function, internal ones with the admin key."""
        await self._answer(exchange, await self._read(exchange), None)

    async def report(self, exchange: Exchange) -> None:
        """POST `/api/pyconvex/report`: as `/api/function` for an admin, and what the function read and wrote."""
        call = self.caller(exchange)
        if not call.identity.is_admin:
            raise RequestRefused(403, "BadDeployKey", "This endpoint needs the admin key of the deployment")
        asked = await self._read(exchange)
        outcome = await self._call(asked, call, None, observed=True)
        report = None if outcome.access is None else outcome.access.to_json()
        answer = self._encoded(outcome, asked, call)
        await exchange.respond(200, JSON, b"".join([answer[:-1], b',"report":', msgspec.json.encode(report), b"}"]))

    async def run(self, exchange: Exchange) -> None:
        """POST `/api/run/<module>/<function>`: as `/api/function`, with the function named by the URL."""
        segments = [unquote(each) for each in exchange.path.removeprefix("/api/run/").split("/")]
        if len(segments) < 2 or not all(segments):
            raise RequestRefused(400, "MissingIdentifier", "The URL must name a module and a function: /api/run/a/b")
        path = f"{'/'.join(segments[:-1])}:{segments[-1]}"
        await self._answer(exchange, await self._read(exchange, path=path), None)

    def caller(self, exchange: Exchange) -> Call:
        """Who calls.

        Raises `RequestRefused` when the authorization cannot be used.
        """
        key = parse_qs(exchange.query).get("adminKey", [None])[0] if "adminKey=" in exchange.query else None
        identity = identify(exchange.header(b"authorization"), self._deployment.admin_key, query_key=key)
        given = exchange.header(b"convex-request-id")
        accepted = given is not None and _REQUEST_ID.fullmatch(given)
        number = given.decode("ascii") if given and accepted else request_id(self._deployment.clock)
        return Call(Caller.HTTP_API, identity, number, exchange.client_ip, exchange.text_header(b"user-agent"))

    async def _read(self, exchange: Exchange, *, path: str | None = None) -> FunctionRequest:
        fallback = default_format(exchange.header(b"convex-client"))
        body = _parse(await self._json(exchange), _Body)
        if path is None and not body.path:
            raise _bad_json("missing field `path`")
        if body.component_path:
            raise RequestRefused(400, "ComponentNotFound", "This deployment has no components")
        return _request(body, path or body.path, fallback)

    async def _json(self, exchange: Exchange) -> bytes:
        content_type = exchange.header(b"content-type") or b""
        if content_type.partition(b";")[0].strip().lower() != b"application/json":
            raise RequestRefused(400, "BadJsonBody", "Expected request with `Content-Type: application/json`")
        try:
            return await exchange.body.read(self._deployment.limits.api_request_bytes)
        except BodyTooLarge as error:
            raise RequestRefused(400, "BadJsonBody", error.message) from None

    async def _answer(self, exchange: Exchange, asked: FunctionRequest, kind: Kind | None) -> None:
        call = self.caller(exchange)
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
        redact = self._deployment.redact
        if outcome.failure is None:
            parts = [b'{"status":"success","value":', asked.encode(outcome.value)]
        else:
            text = _cut(outcome.failure.for_client(call.request_id, redacted=redact))
            parts = [b'{"status":"error","errorMessage":', msgspec.json.encode(text)]
            if not isinstance(outcome.failure.data, Undefined):
                parts += [b',"errorData":', asked.encode(outcome.failure.data)]
        if outcome.log_lines and not redact:
            parts += [b',"logLines":', msgspec.json.encode(outcome.log_lines)]
        return b"".join([*parts, b"}"])


def _may_call_internal(identity: Identity, *, any_kind: bool) -> bool:
    """An admin acting as a user reaches internal functions on `/api/query` and its like, but not on `/api/function`."""
    return identity.is_admin and not (any_kind and identity.kind is IdentityKind.ACTING_USER)


def _from_query(exchange: Exchange) -> FunctionRequest:
    fields = {name: values[-1] for name, values in parse_qs(exchange.query, keep_blank_values=True).items()}
    if "path" not in fields:
        raise RequestRefused(400, "BadQueryArgs", "The query string must have `path`, and `args` as JSON")
    body = _Body(msgspec.Raw(fields.get("args", "{}").encode("utf-8", "replace")), format=fields.get("format"))
    return _request(body, fields["path"], default_format(exchange.header(b"convex-client")))


def _parse(text: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(text, type=shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _bad_json(str(error)) from None


def _request(body: _Body, path: str, fallback: str) -> FunctionRequest:
    if _PATH.fullmatch(path) is None:
        raise RequestRefused(
            400,
            "BadConvexFunctionIdentifier",
            f"{path[:200]} is not a valid path to a Convex function. Paths look like `messages:list` or"
            " `admin/reports:daily`: letters, digits and underscores.",
        )
    encoder = _FORMATS.get(body.format or fallback)
    if encoder is None:
        raise RequestRefused(400, "BadFormat", f"format param must be one of [`json`]. Got {body.format}")
    return FunctionRequest(path, _args(body.args), encoder)


def _args(text: msgspec.Raw) -> object:
    """The args object; clients may send it in a list of one (as the JavaScript client does)."""
    try:
        args = decode(bytes(text))
    except (DeveloperError, ValueError, RecursionError) as error:
        raise _bad_json(f"args: {error}") from None
    match args:
        case []:
            return {}
        case [only]:
            return only
        case _:
            return args


def _bad_json(reason: str) -> RequestRefused:
    return RequestRefused(
        400, "BadJsonBody", f"Failed to deserialize the JSON body into the target type: {reason[:500]}"
    )


def _cut(text: str) -> str:
    """`text` as UTF-8 can carry it (an exception may quote a lone surrogate), at most `ERROR_BYTES_MAX` bytes of it."""
    return text.encode("utf-8", "replace")[:ERROR_BYTES_MAX].decode("utf-8", "ignore")
