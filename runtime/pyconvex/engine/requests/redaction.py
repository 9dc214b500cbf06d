"""Kept requests as they may be shown: without what would let somebody else act in the sender's name.

What is secret is told by names: of headers, query parameters, and fields of JSON and form bodies. A secret in a path
(`/hooks/T000/B000/XXXX`) or in plain text is not recognised.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import unquote_plus

import msgspec

HIDDEN: Final = "…"
DEPTH_MAX: Final = 100

_SECRET_HEADER: Final = re.compile(
    r"authorization|cookie|token|secret|password|passwd|credential|api-?key|access-?key|private|session"
)
_SIGNATURE_HEADER: Final = re.compile(r"signature|hmac|digest-auth")
_SECRET_FIELD: Final = re.compile(
    r"token|secret|passw|passphrase|credential|signature|authorization|(api|access|private)[-_]?key|card[-_]?number"
    r"|(^|[-_.])(auth|pass|pwd|pin|otp|jwt|cvc|cvv)($|[-_.])",
    re.IGNORECASE,
)
_SECRET_PARAMETERS: Final = frozenset({"code", "key", "sig"})
"""Secret in a query only: documents have a `code` and a `key` that say nothing to anybody."""
_SIGNATURE_SHOWN: Final = 12
_JSON_FIELD: Final = re.compile(r'("((?:[^"\\]|\\.){0,63})"\s*:\s*)"(?:[^"\\]|\\.)*(?:"|\\?$)', re.DOTALL)
"""A field with a text in a document that cannot be read as a whole; of bounded length, so that no body takes long."""


def is_secret_header(name: str) -> bool:
    """Whether a header of that (lower-case) name gives its holder rights; signatures do not."""
    return _SECRET_HEADER.search(name) is not None


def redacted_header(name: str, value: str) -> str:
    """A header's value as it may be shown: schemes, names of cookies and the beginnings of signatures stay."""
    if name == "cookie":
        return "; ".join(_redacted_cookie(each) for each in value.split(";"))
    if _SIGNATURE_HEADER.search(name):
        return value[:_SIGNATURE_SHOWN] + HIDDEN if len(value) > _SIGNATURE_SHOWN else HIDDEN
    if is_secret_header(name):
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {HIDDEN}" if space and name.endswith("authorization") else HIDDEN
    return value


def redacted_query(query: str) -> str:
    """A query string or urlencoded form with the values of secret parameters hidden."""
    return "&".join(_redacted_parameter(each) for each in query.split("&")) if query else ""


def redacted_body(body: bytes, content_type: str) -> bytes:
    """A body with the values of secret fields hidden, where it is JSON or an urlencoded form; else as it is.

    What of a document was kept in part, or is nested too deeply, is searched for fields as a text.
    """
    if "x-www-form-urlencoded" in content_type.lower():
        return redacted_query(body.decode("utf-8", "replace")).encode()
    try:
        parsed = msgspec.json.decode(body)
        hidden = _redacted(parsed, 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode("utf-8", "surrogateescape")
        return _JSON_FIELD.sub(_redacted_match, text).encode("utf-8", "surrogateescape")
    return body if hidden == parsed else msgspec.json.encode(hidden)


def _redacted_cookie(pair: str) -> str:
    name, equals, _ = pair.strip().partition("=")
    return f"{name}={HIDDEN}" if equals else HIDDEN


def _redacted_match(field: re.Match[str]) -> str:
    return f'{field[1]}"{HIDDEN}"' if _is_secret(field[2]) else field[0]


def _redacted_parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    plain = unquote_plus(name)
    hidden = bool(equals and value) and (_is_secret(plain) or plain.lower() in _SECRET_PARAMETERS)
    return f"{name}={HIDDEN}" if hidden else text


def _redacted(value: Any, depth: int) -> Any:
    if depth > DEPTH_MAX:
        return HIDDEN
    again: Callable[[Any], Any] = lambda item: _redacted(item, depth + 1)  # noqa: E731 - shorter than a function
    if isinstance(value, dict):
        fields = cast("Mapping[str, Any]", value)
        return {name: _redacted_field(name, item, again) for name, item in fields.items()}
    return [again(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _redacted_field(name: str, item: Any, again: Callable[[Any], Any]) -> Any:
    if not _is_secret(name):
        return again(item)
    if isinstance(item, list):
        return [HIDDEN if isinstance(each, str) else again(each) for each in cast("list[Any]", item)]
    return HIDDEN if isinstance(item, str) and item else again(item)


def _is_secret(name: str) -> bool:
    return _SECRET_FIELD.search(name) is not None
