"""Requests of the client API to run functions: what they say, checked before anything runs.

https://docs.convex.dev/http-api/
"""

import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs, unquote

import msgspec
from msgspec import Struct

from pyconvex.clock import request_id
from pyconvex.engine.execution import Call, Caller
from pyconvex.engine.paths import check_path
from pyconvex.errors import DeveloperError, RequestRefused
from pyconvex.values.value import Value
from pyconvex.values.wire import decode, encode, encode_clean, encode_export

from .asgi import BodyTooLarge, Exchange
from .authorization import identify
from .client_version import default_format
from .deployment import Deployment

Shape = TypeVar("Shape")
Encode = Callable[[Value], bytes]

RUN_PREFIX = "/api/run/"

FORMATS: dict[str, Encode] = {
    "json": encode_clean,
    "convex_clean_json": encode_clean,
    "convex_encoded_json": encode,
    "convex_json": encode,
    "export_json": encode_export,
}
"""How results can be written, by what `format` names."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")


class FunctionRequest(Struct, frozen=True):
    """One function call as a client asked for it, checked as far as that goes without knowing the function."""

    path: str
    args: object
    encode: Encode


class FunctionBody(msgspec.Struct):
    """The body of `/api/query` and its like."""

    path: str
    args: msgspec.Raw
    format: str | None = None
    component_path: str | None = msgspec.field(name="componentPath", default=None)


class _RunBody(msgspec.Struct):
    args: msgspec.Raw
    format: str | None = None


async def caller(exchange: Exchange, deployment: Deployment) -> Call:
    """Who calls.

    Raises `RequestRefused` when the authorization cannot be used.
    """
    key = parse_qs(exchange.query).get("adminKey", [None])[0] if "adminKey=" in exchange.query else None
    identity = await identify(exchange.header(b"authorization"), deployment, query_key=key)
    given = exchange.header(b"convex-request-id")
    accepted = given is not None and _REQUEST_ID.fullmatch(given)
    number = given.decode("ascii") if given and accepted else request_id(deployment.clock)
    return Call(Caller.HTTP_API, identity, number, exchange.client_ip, exchange.text_header(b"user-agent"))


async def function_asked(exchange: Exchange, limit: int) -> FunctionRequest:
    """The function that a request names in its body, which may have so many bytes.

    Raises `RequestRefused` 400, as all of these do.
    """
    fallback = default_format(exchange.header(b"convex-client"))
    return checked(await body_of(exchange, FunctionBody, limit), fallback)


async def function_in_url(exchange: Exchange, limit: int) -> FunctionRequest:
    """The function that `/api/run/<module>/<function>` names; the body has its arguments."""
    fallback = default_format(exchange.header(b"convex-client"))
    segments = [unquote(each) for each in exchange.path.removeprefix(RUN_PREFIX).split("/")]
    if len(segments) < 2 or not all(segments):
        raise RequestRefused(400, "MissingIdentifier", "The URL must name a module and a function: /api/run/a/b")
    body = await body_of(exchange, _RunBody, limit)
    path = f"{'/'.join(segments[:-1])}:{segments[-1]}"
    return checked(FunctionBody(path, body.args, body.format), fallback)


def function_in_query(exchange: Exchange) -> FunctionRequest:
    """The function that `?path=…&args=<JSON>&format=…` names."""
    fallback = default_format(exchange.header(b"convex-client"))
    fields = {name: values[-1] for name, values in parse_qs(exchange.query, keep_blank_values=True).items()}
    if "path" not in fields:
        raise RequestRefused(400, "BadQueryArgs", "The query string must have `path`, and `args` as JSON")
    args = msgspec.Raw(fields.get("args", "{}").encode("utf-8", "replace"))
    return checked(FunctionBody(fields["path"], args, fields.get("format")), fallback)


async def body_of(exchange: Exchange, shape: type[Shape], limit: int) -> Shape:
    """The JSON body of a request.

    Raises `RequestRefused` 400 `BadJsonBody` for another content type, for one of more than `limit` bytes, and for
    what does not have this shape.
    """
    content_type = exchange.header(b"content-type") or b""
    if content_type.partition(b";")[0].strip().lower() != b"application/json":
        raise RequestRefused(400, "BadJsonBody", "Expected request with `Content-Type: application/json`")
    try:
        return msgspec.json.decode(await exchange.body.read(limit), type=shape)
    except BodyTooLarge as error:
        raise RequestRefused(400, "BadJsonBody", error.message) from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _bad_json(str(error)) from None


def checked(body: FunctionBody, fallback: str) -> FunctionRequest:
    """`body` with its parts read.

    Arguments:
        fallback: the format of results when the body names none.
    """
    if body.component_path:
        raise RequestRefused(400, "ComponentNotFound", "This deployment has no components")
    check_path(body.path)
    encoder = FORMATS.get(fallback if body.format is None else body.format)
    if encoder is None:
        raise RequestRefused(400, "BadFormat", f"format param must be one of [`json`]. Got {body.format}")
    return FunctionRequest(body.path, _args(body.args), encoder)


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
