"""The messages of Convex's sync protocol, one JSON object per text message of a WebSocket.

What clients say is parsed into structs; fields that are not named here are ignored. What they are told is joined from
bytes that were encoded before: a result goes to a thousand clients, and is encoded once.
"""

from collections.abc import Generator, Iterable
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias
from uuid import UUID

import msgspec

from pyconvex.engine.failures import Failure
from pyconvex.engine.live.results import LiveResult
from pyconvex.engine.runner import Outcome
from pyconvex.errors import PyconvexError
from pyconvex.values.timestamps import decode_timestamp, encode_timestamp
from pyconvex.values.value import Undefined
from pyconvex.values.wire import encode

CHUNK_BYTES_MAX: Final = 5_000_000
"""Larger Transitions are cut into chunks for clients that can join them."""

PING: Final = b'{"type":"Ping"}'

U32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Malformed(PyconvexError):
    """A message that is none of the protocol's; `FatalError` is the answer."""

    def __init__(self, reason: str) -> None:
        super().__init__("InvalidMessage", f"Received Invalid JSON on websocket: {reason}")


class _Message(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    """Tagged with the name of its class."""


class Connect(_Message, frozen=True, tag="Connect"):
    """Once, and first. `session_id` stays the same when a client connects again."""

    session_id: UUID
    connection_count: U32 = 0
    """How often it has connected before."""
    client_ts: float | None = None
    """Milliseconds, by the client's clock."""
    max_observed_timestamp: str | None = None

    def __post_init__(self) -> None:
        if self.max_observed_timestamp is not None:
            decode_timestamp(self.max_observed_timestamp)

    @property
    def again(self) -> bool:
        """Whether the client was connected before, and may ask again for what it asked for then."""
        return self.connection_count > 0

    @property
    def observed(self) -> int:
        """The newest timestamp (ns) that the client has seen."""
        return 0 if self.max_observed_timestamp is None else decode_timestamp(self.max_observed_timestamp)


class Add(_Message, frozen=True, tag="Add"):
    query_id: U32
    udf_path: str
    args: msgspec.Raw = msgspec.Raw(b"[]")
    journal: str | None = None
    component_path: str | None = None


class Remove(_Message, frozen=True, tag="Remove"):
    query_id: U32


class ModifyQuerySet(_Message, frozen=True, tag="ModifyQuerySet"):
    base_version: U32
    new_version: U32
    modifications: list[Add | Remove]


class Mutation(_Message, frozen=True, tag="Mutation"):
    request_id: U32
    udf_path: str
    args: msgspec.Raw = msgspec.Raw(b"[]")
    component_path: str | None = None


class Action(_Message, frozen=True, tag="Action"):
    request_id: U32
    udf_path: str
    args: msgspec.Raw = msgspec.Raw(b"[]")
    component_path: str | None = None


class Authenticate(_Message, frozen=True, tag="Authenticate"):
    base_version: U32
    token_type: Literal["None", "User", "Admin"]
    value: str | None = None
    impersonating: dict[str, Any] | None = None
    """The user as whom an admin wants to act."""
    acting_as: dict[str, Any] | None = msgspec.field(name="acting_as", default=None)
    """Its other name."""

    def __post_init__(self) -> None:
        if self.token_type != "None" and self.value is None:
            raise ValueError("Object missing required field `value`")

    @property
    def user(self) -> dict[str, Any] | None:
        return self.acting_as if self.impersonating is None else self.impersonating


class Event(_Message, frozen=True, tag="Event"):
    """Telemetry, which is not collected."""


ClientMessage: TypeAlias = Connect | ModifyQuerySet | Mutation | Action | Authenticate | Event

_decode: Final = msgspec.json.Decoder(ClientMessage).decode
_to_json: Final = msgspec.json.Encoder().encode


def parse(text: str) -> ClientMessage:
    """What a client says.

    Raises:
        Malformed: no JSON, or none of the protocol's messages.
    """
    try:
        return _decode(text)
    except RecursionError:
        raise Malformed("it is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise Malformed(str(error)[:500]) from None


@lru_cache(maxsize=4096)
def version(query_set: int, identity: int, ts: int) -> bytes:
    """One end of a Transition; `ts` is in nanoseconds."""
    return b'{"querySet":%d,"identity":%d,"ts":"%s"}' % (query_set, identity, encode_timestamp(ts).encode())


Change: TypeAlias = tuple[int, bytes, bytes]
"""One modification of a Transition: the query's id, and the JSON in two parts. The second may be large, and is only
copied into the message."""


def changed(query_id: int, result: LiveResult) -> Change:
    """A query has another result."""
    return query_id, _head(query_id, result.ok), result.tail


def removed(query_id: int) -> Change:
    """A query was unsubscribed from."""
    return query_id, b'{"type":"QueryRemoved","queryId":%d}' % query_id, b""


@lru_cache(maxsize=4096)
def _head(query_id: int, ok: bool) -> bytes:
    return b'{"type":"%s","queryId":%d' % (b"QueryUpdated" if ok else b"QueryFailed", query_id)


def transition(start: bytes, end: bytes, changes: Iterable[Change], server_ns: int, clock_skew_ms: int | None) -> bytes:
    """A Transition between two `version`s.

    Args:
        clock_skew_ms: how far the client's clock is ahead; None where it told no time. Then the server's is left out
            too, since clients compute with both.
    """
    parts = [b'{"type":"Transition","startVersion":', start, b',"endVersion":', end, b',"modifications":[']
    comma = b""
    for _, head, tail in changes:
        parts += (comma, head, tail)
        comma = b","
    if clock_skew_ms is None:
        parts.append(b"]}")
    else:
        parts.append(b'],"clientClockSkew":%d,"serverTs":%d}' % (clock_skew_ms, server_ns))
    return b"".join(parts)


def failed_tail(text: str) -> bytes:
    """The rest of a QueryFailed for a query that did not come to run."""
    return b',"errorMessage":%s,"logLines":[],"journal":null}' % _to_json(text)


def mutation_response(request_id: int, outcome: Outcome, number: str, *, redacted: bool) -> bytes:
    """How a mutation ended.

    Args:
        number: what error texts call the request, 16 hex digits.
        redacted: error texts and log lines are kept back.
    """
    ts = b"null" if outcome.failure or outcome.ts is None else b'"%s"' % encode_timestamp(outcome.ts).encode()
    rest = b',"ts":' + ts + _logged(outcome, redacted)
    return b'{"type":"MutationResponse","requestId":%d,%s%s}' % (request_id, _ended(outcome, number, redacted), rest)


def action_response(request_id: int, outcome: Outcome, number: str, *, redacted: bool) -> bytes:
    """How an action ended; see `mutation_response`."""
    rest = _logged(outcome, redacted)
    return b'{"type":"ActionResponse","requestId":%d,%s%s}' % (request_id, _ended(outcome, number, redacted), rest)


def fatal_error(error: str) -> bytes:
    return _to_json({"type": "FatalError", "error": error})


def auth_error(error: str, identity_version: int, *, attempted: bool) -> bytes:
    """A token that cannot be used.

    Args:
        identity_version: of the last Transition sent.
        attempted: whether it was given with this error's cause; False for one that was accepted before.
    """
    return _to_json(
        {"type": "AuthError", "error": error, "baseVersion": identity_version, "authUpdateAttempted": attempted}
    )


def chunks(text: bytes, transition_id: str) -> Generator[bytes]:
    """The messages that carry a large Transition piece by piece. They are sent in order, with nothing in between."""
    pieces = list(_cut(text))
    for number, piece in enumerate(pieces):
        yield _to_json(
            {
                "type": "TransitionChunk",
                "chunk": piece.decode(),
                "partNumber": number,
                "totalParts": len(pieces),
                "transitionId": transition_id,
            }
        )


def _cut(text: bytes) -> Generator[bytes]:
    start = 0
    while start < len(text):
        stop = start + CHUNK_BYTES_MAX
        while stop < len(text) and text[stop] & 0xC0 == 0x80:  # inside a character (RFC 3629, section 3)
            stop -= 1
        yield text[start:stop]
        start = stop


def _ended(outcome: Outcome, number: str, redacted: bool) -> bytes:
    failure = outcome.failure
    if failure is None:
        return b'"success":true,"result":' + encode(outcome.value)
    return b'"success":false,"result":' + _to_json(failure.for_client(number, redacted=redacted)) + _data(failure)


def _data(failure: Failure) -> bytes:
    """Its presence makes a ConvexError of the failure, whatever it is."""
    return b"" if isinstance(failure.data, Undefined) else b',"errorData":' + encode(failure.data)


def _logged(outcome: Outcome, redacted: bool) -> bytes:
    return b',"logLines":' + (b"[]" if redacted else _to_json(outcome.log_lines))
