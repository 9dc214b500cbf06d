"""Error bodies of the API: `{"code", "message"}`, and those of HTTP actions: `{"code", "trace", "data"}`."""

import msgspec

from pyconvex.engine.failures import Failure
from pyconvex.values.value import Undefined
from pyconvex.values.wire import encode


def error_body(code: str, message: str) -> bytes:
    """What a request that was refused is answered with."""
    return msgspec.json.encode({"code": code, "message": utf8(message)})


def failure_body(failure: Failure, request_id: str, *, redacted: bool) -> bytes:
    """What a request whose HTTP action failed is answered with (status 500).

    Convex shows a fresh id here; this is the request's own, so that it leads to the log entry.
    """
    code = f"[Request ID: {request_id}] Server Error"
    parts = {"code": msgspec.Raw(msgspec.json.encode(code if redacted else f"{code}: {utf8(failure.message)}"))}
    if not redacted:
        parts["trace"] = msgspec.Raw(msgspec.json.encode(utf8(failure.text)))
    if not isinstance(failure.data, Undefined):
        parts["data"] = msgspec.Raw(encode(failure.data))
    return msgspec.json.encode(parts)


def utf8(text: str) -> str:
    """`text` as UTF-8 can carry it: an exception may quote a lone surrogate."""
    return text.encode("utf-8", "replace").decode()
