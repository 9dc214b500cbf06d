"""What a live query sends to its sessions: results that are encoded once, and all of a session's at one snapshot."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pyconvex.values.value import Undefined
from pyconvex.values.wire import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyconvex.engine.runner import Outcome

_FINGERPRINT_BYTES: Final = 16


class LiveResult(NamedTuple):
    """One result of one query, shared by all sessions that have it."""

    ok: bool
    """Whether it goes out as `QueryUpdated`, or as `QueryFailed`."""
    tail: bytes
    """The JSON of the modification behind `{"type":…,"queryId":…`: it begins with a comma and ends with the brace."""
    fingerprint: bytes
    """Equal for equal values, or errors without their request ids, with equal log lines."""
    journal: str | None
    """What the client brings back, so that a page keeps its interval."""


class View(NamedTuple):
    """All results of one set of subscriptions at the snapshot `ts` (ns), by query id."""

    ts: int
    results: Mapping[int, LiveResult]


def live_result(outcome: Outcome, request_id: str, *, redact: bool) -> LiveResult:
    """The end of a run as it goes over the wire; `redact` keeps error texts and log lines from clients."""
    failure = outcome.failure
    if failure is None:
        said = same = b',"value":' + encode(outcome.value)
    else:
        data = b"" if isinstance(failure.data, Undefined) else b',"errorData":' + encode(failure.data)
        said, same = (
            b',"errorMessage":' + msgspec.json.encode(failure.for_client(number, redacted=redact)) + data
            for number in (request_id, "")
        )
    lines = b',"logLines":' + (b"[]" if redact else msgspec.json.encode(outcome.log_lines))
    digest = blake2b(same, digest_size=_FINGERPRINT_BYTES)
    digest.update(lines)
    tail = b"".join((said, lines, b',"journal":', msgspec.json.encode(outcome.journal), b"}"))
    return LiveResult(failure is None, tail, digest.digest(), outcome.journal)
