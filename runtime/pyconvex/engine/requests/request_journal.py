"""The last requests to HTTP actions, kept while one develops: to look at, to send again, to make tests of.

A journal is bounded by count and by bytes (limits `journal_…`). It holds requests whole, secrets included, since one
could not be sent again otherwise; what is shown of them goes through `redaction`. So it is a file that only its owner
can read (mode 600) in the data folder, and `pyconvex start` keeps none.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from pyconvex.engine.requests.kept_requests import KeptRequest, KeptRequests

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pyconvex.settings import Limits

GATHER_SECONDS: Final = 0.25
CLOSE_SECONDS: Final = 5.0
HEAD_BYTES: Final = 512
"""What a request takes beside its body, about."""


class Arrival(NamedTuple):
    """What is known when a request begins; its fields are those of `KeptRequest`."""

    id: str
    at_ms: float
    method: str
    path: str
    query: str
    headers: Iterable[tuple[bytes, bytes]]
    client: str | None
    replay_of: str | None
    scheme: str = "http"
    host: bytes | None = None


class Replay:
    """Says of a request that a developer sends it again; `id` is filled in when it is served."""

    __slots__ = ("at_ms", "id", "of")

    def __init__(self, kept: KeptRequest) -> None:
        self.of = kept.id
        self.at_ms = kept.at_ms
        self.id: str | None = None


class Recording:
    """One request while it is being served."""

    __slots__ = ("_body_bytes", "_chunks", "_complete", "_journal", "_kept_bytes", "_status", "_took_ms", "arrival")

    def __init__(self, journal: RequestJournal, arrival: Arrival, *, complete: bool) -> None:
        self._journal = journal
        self._complete = complete
        self._status = 0
        self._took_ms: float | None = None
        self._chunks: list[bytes] = []
        self._kept_bytes = 0
        self._body_bytes = 0
        self.arrival = arrival

    @property
    def size(self) -> int:
        """Bytes of memory that it holds, about."""
        return self._kept_bytes + HEAD_BYTES

    @property
    def note(self) -> str | None:
        """What its row in the log should say."""
        again = self.arrival.replay_of
        return None if again is None else f"replay of {again}"

    def take(self, chunk: bytes) -> None:
        """A part of the body arrived."""
        self._body_bytes += len(chunk)
        room = self._journal.body_bytes_max - self._kept_bytes
        if room > 0:
            kept = chunk if len(chunk) <= room else chunk[:room]
            self._chunks.append(kept)
            self._kept_bytes += len(kept)

    def finish(self, status: int, took_ms: float, *, complete: bool) -> None:
        """The request is over; `complete` says that all of its body arrived."""
        self._status = status
        self._took_ms = took_ms
        self._complete = complete
        self._journal.append(self)

    def drop(self) -> None:
        """Forget the request: another recording of it has begun."""
        self._journal.forget(self)

    def kept(self) -> KeptRequest:
        """What is there to be kept. Nothing is decoded before: the journal's thread has time."""
        arrival = self.arrival
        return KeptRequest(
            id=arrival.id,
            at_ms=arrival.at_ms,
            method=arrival.method,
            path=arrival.path,
            query=arrival.query,
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in arrival.headers],
            body=b"".join(self._chunks),
            body_bytes=self._body_bytes,
            whole=self._complete and self._body_bytes == self._kept_bytes,
            client=arrival.client,
            status=self._status,
            took_ms=self._took_ms,
            replay_of=arrival.replay_of,
            scheme=arrival.scheme,
            host=None if arrival.host is None else arrival.host.decode("latin-1"),
        )


class RequestJournal:
    """The requests of one deployment. What the event loop calls is cheap; reading and closing block.

    Args:
        file: where they outlive the process; None keeps them in memory.
    """

    def __init__(self, file: Path | None, limits: Limits) -> None:
        self._count_max = limits.journal_requests
        self._bytes_max = limits.journal_bytes
        self.body_bytes_max = min(limits.journal_body_bytes, limits.journal_bytes)
        self._kept = KeptRequests(file, self._count_max, self._bytes_max)
        self._pending: deque[Recording] = deque()
        self._pending_bytes = 0
        self._open: dict[str, Recording] = {}
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, arrival: Arrival, *, complete: bool) -> Recording:
        """A request arrived; `complete` says that it has no body which is still to come."""
        recording = self._open[arrival.id] = Recording(self, arrival, complete=complete)
        return recording

    def forget(self, recording: Recording) -> None:
        """A recording that is not going to be finished."""
        self._open.pop(recording.arrival.id, None)

    def append(self, ended: Recording) -> None:
        """Keep a request; the oldest that wait to be written go when they are too many."""
        with self._counting:
            self.forget(ended)
            self._pending.append(ended)
            self._pending_bytes += ended.size
            while len(self._pending) > 1 and self._overflows():
                self._pending_bytes -= self._pending.popleft().size
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pyconvex-requests", daemon=True)
            self._thread.start()
        if not self._arrived.is_set():
            self._arrived.set()

    def newest(self, limit: int) -> list[KeptRequest]:
        """The newest requests, without their bodies: in the order in which they ended, then those in progress."""
        self.flush()
        return [*self._kept.newest(limit), *self._in_progress()][-limit:]

    def find(self, id: str) -> list[KeptRequest]:
        """The requests whose ids begin with `id`, newest first, whole; `last` is the newest that repeats no other."""
        if id == "last":
            originals = [each.id for each in self.newest(self._count_max) if each.replay_of is None]
            return self.find(originals[-1]) if originals else []
        self.flush()
        return [*(each for each in self._in_progress() if each.id.startswith(id)), *self._kept.find(id)]

    def flush(self) -> None:
        """Write what waits."""
        with self._writing:
            with self._counting:
                ended, self._pending, self._pending_bytes = self._pending, deque[Recording](), 0
            if ended:
                self._kept.add([each.kept() for each in ended])

    def close(self) -> None:
        """Write what is left and end the thread."""
        self._closing.set()
        self._arrived.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            self._thread = None
        self.flush()
        self._kept.close()

    def _in_progress(self) -> list[KeptRequest]:
        return [each.kept() for each in list(self._open.values())]

    def _overflows(self) -> bool:
        return len(self._pending) > self._count_max or self._pending_bytes > self._bytes_max

    def _run(self) -> None:
        while not self._closing.is_set():
            self._arrived.wait()
            self._closing.wait(GATHER_SECONDS)
            self._arrived.clear()
            self.flush()
