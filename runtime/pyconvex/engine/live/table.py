"""The table of live queries: what was asked, the results that are known, and how long each of them holds.

A question is a path with arguments. Its result is everybody's unless the run asked who is calling; then each caller
has one of his own. A result holds from its snapshot on until a commit writes into what the run has read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyconvex.engine.live.commit_history import CommitHistory
from pyconvex.engine.live.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Set

    from pyconvex.clock import Alarm, Clock
    from pyconvex.engine.live.read_ranges import ReadRanges
    from pyconvex.engine.live.results import LiveResult
    from pyconvex.engine.live.rounds import Job
    from pyconvex.engine.live.subscriptions import Subscription
    from pyconvex.store.keys import Commit, KeyRange

EVERYBODY: Final = b"everybody"
"""The owner of a result that does not depend on who is calling; no `Identity.key` looks like this."""
FOREVER: Final = 2**63
IDLE_SECONDS: Final = 10.0
"""How long a result at least is kept that nobody subscribes to any more; who changes pages may come back."""
IDLE_MAX: Final = 1_000
IDLE_BYTES_MAX: Final = 32 * 2**20


class Key(NamedTuple):
    """What makes two questions the same."""

    path: str
    args: bytes
    journal: str | None
    internal: bool
    """Whether internal functions answer it."""


class Known:
    """A result, and when it holds: at snapshots from `ts` on and before `until`, as long as that version serves."""

    __slots__ = ("error", "reads", "result", "ts", "until", "variables", "version")

    def __init__(
        self,
        result: LiveResult,
        ts: int,
        until: int,
        version: int,
        reads: ReadRanges,
        variables: Set[str],
        error: str | None = None,
    ) -> None:
        self.result = result
        self.ts = ts
        self.until = until
        self.version = version
        self.reads = reads
        self.variables = variables
        """Names of the environment variables that it asked for."""
        self.error = error

    def holds(self, ts: int, version: int) -> bool:
        return self.ts <= ts < self.until and self.version == version

    def copy(self) -> Known:
        return Known(self.result, self.ts, self.until, self.version, self.reads, self.variables, self.error)


class Entry:
    """The newest result of one question, everybody's or one caller's, and the subscriptions that show it."""

    __slots__ = ("known", "owner", "question", "subscribers", "watched")

    def __init__(self, question: Question, owner: bytes | None, known: Known) -> None:
        self.question = question
        self.owner = owner
        self.known = known
        self.subscribers: set[Subscription] = set()
        self.watched: frozenset[KeyRange] = frozenset()
        """The ranges by which a commit finds it."""


class Question:
    """What one or more subscriptions ask. `args` are the arguments as they were given."""

    __slots__ = ("args", "askers", "entries", "failures", "job", "key", "path")

    def __init__(self, key: Key, path: str, args: object) -> None:
        self.key = key
        self.path = path
        self.args = args
        self.askers = 0
        """How many subscriptions ask it."""
        self.entries: dict[bytes | None, Entry] = {}
        """By owner: `EVERYBODY`, or the `key` of an identity."""
        self.job: Job | None = None
        """Its run, if one takes longer than a moment."""
        self.failures = 0
        """How often in a row it could not be run, through no fault of its own."""

    def find(self, owner: bytes | None, ts: int, version: int) -> Entry | None:
        """The entry whose result `owner` may see and that holds at `ts`."""
        entries = self.entries
        if (entry := entries.get(EVERYBODY)) is not None and entry.known.holds(ts, version):
            return entry
        if (entry := entries.get(owner)) is not None and entry.known.holds(ts, version):
            return entry
        return None


class LiveTable:
    """All questions and results of one deployment.

    Args:
        on_stale: told of each entry with subscribers whose result has ceased to hold.
    """

    def __init__(self, clock: Clock, on_stale: Callable[[Entry], None]) -> None:
        self.version = 0
        """Counts the versions of the user's code."""
        self.newest = 0
        """All commits up to this timestamp were heard of."""
        self.upheavals = 0
        """Counts the commits that may have changed every result."""
        self.history = CommitHistory()
        self._clock = clock
        self._on_stale = on_stale
        self._questions: dict[Key, Question] = {}
        self._watched: Watched[Entry] = Watched()
        self._upheaval_ts = 0
        """Timestamp of the last of these."""
        self._idle: dict[Entry, int] = {}
        """Entries without subscribers, the one that has been so for longest first, with their sizes."""
        self._idle_bytes = 0
        self._idle_before: set[Entry] = set()
        """Those that were idle at the last sweep already."""
        self._sweeping: Alarm | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many results there are."""
        return sum(1 for _ in self._entries())

    @property
    def ranges(self) -> int:
        """How many distinct ranges are watched."""
        return len(self._watched)

    # --- questions

    def ask(self, key: Key, path: str, args: object) -> Question:
        """The question for one more subscription."""
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = Question(key, path, args)
        question.askers += 1
        return question

    def drop_question(self, question: Question) -> None:
        """One subscription fewer asks it."""
        question.askers -= 1
        self._forget(question)

    def subscribe(self, entry: Entry, subscription: Subscription) -> None:
        if entry in self._idle:
            self._busy(entry)
        entry.subscribers.add(subscription)

    def unsubscribe(self, entry: Entry, subscription: Subscription) -> None:
        entry.subscribers.discard(subscription)
        if not entry.subscribers and entry.question.entries.get(entry.owner) is entry:
            self._rest(entry)

    # --- results

    def keep(self, question: Question, owner: bytes | None, known: Known) -> Entry:
        """Take a new result, unless there is a newer one. Whoever keeps it calls `settle` when he is done with it."""
        entry = question.entries.get(owner)
        if entry is None:
            entry = question.entries[owner] = Entry(question, owner, known)
        elif (known.version, known.ts) < (entry.known.version, entry.known.ts):
            return entry
        else:
            if entry.known.result.fingerprint == known.result.fingerprint and (
                entry.known.result.journal == known.result.journal
            ):
                known.result = entry.known.result
            entry.known = known
        self._watch(entry, known.reads.watched if known.until == FOREVER else frozenset())
        return entry

    def follow(self, question: Question, of: Entry, known: Known) -> Entry:
        """The entry of a question that has the same result as another one, because its journal is that result's."""
        entry = question.entries.get(of.owner)
        if entry is None or not entry.known.holds(known.ts, known.version):
            entry = self.keep(question, of.owner, known.copy())
        return entry

    def settle(self, entry: Entry) -> None:
        """Nobody is about to subscribe to `entry`; without any subscriber it is kept for a while."""
        if not entry.subscribers:
            self._rest(entry)

    def until(self, ts: int, upheavals: int, reads: ReadRanges) -> int:
        """When a result stops to hold that was computed at `ts` out of these ranges.

        That may be some time ago: there had been that many `upheavals` then.
        """
        if self.upheavals != upheavals or self._upheaval_ts > ts or not self.history.covers(ts):
            return ts + 1
        return self.history.first_touch(ts, reads) or FOREVER

    # --- what happens

    def hear(self, commit: Commit) -> None:
        """The next commit: results that have read what it wrote hold no longer."""
        self.newest = max(self.newest, commit.ts)
        self.history.add(commit)
        if commit.everything or commit.catalog:
            self._heave(commit)
            return
        if len(self._watched):
            for entry in self._watched.match(commit.written):
                if entry.known.reads.exact or entry.known.reads.meets(commit.written):
                    self._touch(entry, commit.ts)

    def renew(self) -> None:
        """Other code serves: nothing holds any more."""
        self.version += 1
        for entry in list(self._entries()):
            self._stale(entry)

    def change(self, names: Set[str]) -> None:
        """These environment variables have changed."""
        for entry in list(self._entries()):
            if not names.isdisjoint(entry.known.variables):
                self.expire(entry)

    def expire(self, entry: Entry) -> None:
        """Its result does not hold any more, at whatever timestamp."""
        entry.known.until = 0
        self._stale(entry)

    def close(self) -> None:
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._questions.clear()
        self._idle.clear()
        self._watched = Watched()

    def _heave(self, commit: Commit) -> None:
        self.upheavals += 1
        self._upheaval_ts = commit.ts
        for entry in list(self._entries()):
            if commit.everything:
                self.expire(entry)  # what was read at an older timestamp may never have been so, in a restored database
            else:
                self._touch(entry, commit.ts)

    def _touch(self, entry: Entry, ts: int) -> None:
        known = entry.known
        if known.until != FOREVER:
            # Nobody has asked again since the last time, and who does not ask costs nothing.
            self._watch(entry, frozenset())
        elif known.ts < ts:
            known.until = ts
            self._stale(entry)

    def _stale(self, entry: Entry) -> None:
        if entry.subscribers:
            self._on_stale(entry)
        else:
            self._drop(entry)

    def _watch(self, entry: Entry, ranges: frozenset[KeyRange]) -> None:
        """Watch these ranges for it in the place of those before, which are nearly the same as a rule."""
        before = entry.watched
        if before == ranges:
            return
        entry.watched = ranges
        for span in before - ranges:
            self._watched.remove(span, entry)
        for span in ranges - before:
            self._watched.add(span, entry)

    def _entries(self) -> Iterator[Entry]:
        for question in self._questions.values():
            yield from question.entries.values()

    # --- entries without subscribers

    def _rest(self, entry: Entry) -> None:
        if self._closed:
            return
        size = len(entry.known.result.tail)
        self._idle_bytes += size - self._idle.pop(entry, 0)
        self._idle[entry] = size
        while len(self._idle) > IDLE_MAX or self._idle_bytes > IDLE_BYTES_MAX:
            self._drop(next(iter(self._idle)))
        if self._sweeping is None and self._idle:
            self._sweeping = self._clock.alarm(self._clock.now_ms() + IDLE_SECONDS * 1000, self._sweep)

    def _busy(self, entry: Entry) -> None:
        self._idle_bytes -= self._idle.pop(entry)
        self._idle_before.discard(entry)

    def _sweep(self) -> None:
        self._sweeping = None
        for entry in self._idle_before:
            self._drop(entry)
        self._idle_before = set(self._idle)
        if self._idle:
            self._sweeping = self._clock.alarm(self._clock.now_ms() + IDLE_SECONDS * 1000, self._sweep)

    def _drop(self, entry: Entry) -> None:
        self._idle_bytes -= self._idle.pop(entry, 0)
        self._watch(entry, frozenset())
        # A round may be about to hand it out: whoever gets it is to know that it is not looked after.
        entry.known.until = min(entry.known.until, self.newest + 1)
        if entry.question.entries.get(entry.owner) is entry:
            del entry.question.entries[entry.owner]
        self._forget(entry.question)

    def _forget(self, question: Question) -> None:
        if not question.askers and not question.entries and self._questions.get(question.key) is question:
            del self._questions[question.key]
