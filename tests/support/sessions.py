"""A session of the sync protocol without a server: a test plays the engine and the client."""

import json
from typing import Any

import msgspec

from pyconvex.clock import ManualClock
from pyconvex.engine.live.results import LiveResult, View
from pyconvex.engine.runner import Outcome
from pyconvex.sync.effects import Close, Effect, Refresh, Request, RunAction, RunMutation, Send, Subscribe, Unsubscribe
from pyconvex.sync.messages import action_response, mutation_response, parse
from pyconvex.sync.session import Session
from pyconvex.values.timestamps import decode_timestamp

SESSION_ID = "6f2a9c1e-0b7d-4c55-9e0a-3d1f5b8e7a42"
START_MS = 1_767_225_600_000.0
FIRST_TS = 1_767_225_600_000_000_000


def result(value: object, *, ok: bool = True) -> LiveResult:
    """A query's result: `value`, or an error of that text."""
    text = json.dumps(value).encode()
    field = b"value" if ok else b"errorMessage"
    return LiveResult(ok, b',"%s":%s,"logLines":[],"journal":null}' % (field, text), text + b"%d" % ok, None)


class Client:
    """Says what a client says, keeps what it was told, and believes of it no more than the official ones do."""

    def __init__(self, session: Session | None = None) -> None:
        self.clock = ManualClock(START_MS)
        self.session = session or Session(self.clock)
        self.told: list[dict[str, Any]] = []
        """Every message to the client."""
        self.closed: Close | None = None
        self.asked: list[Effect] = []
        """What the session wants done, besides sending and closing."""
        self.undelivered = 0
        self.slow = False
        """Whether Transitions stay on their way until `catch_up`."""
        self.follows = False
        """Whether the engine hands out views without being asked."""
        self.version = {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}
        self.results: dict[int, object] = {}

    @property
    def ts(self) -> int:
        return decode_timestamp(str(self.version["ts"]))

    def say(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        """One message; what the client is told at once."""
        return self.take(self.session.receive(parse(json.dumps({"type": kind, **fields}))))

    def connect(self, **fields: object) -> list[dict[str, Any]]:
        return self.say("Connect", **{"sessionId": SESSION_ID, "connectionCount": 0, "clientTs": 0, **fields})

    def subscribe(self, *paths: str, first: int = 0, base: int = 0) -> list[dict[str, Any]]:
        """Add queries of these paths, with ids counting from `first`."""
        added = [{"type": "Add", "queryId": first + n, "udfPath": path} for n, path in enumerate(paths)]
        return self.say("ModifyQuerySet", baseVersion=base, newVersion=base + 1, modifications=added)

    def view(self, ts: int, results: dict[int, LiveResult] | None = None) -> list[dict[str, Any]]:
        """The engine hands out results."""
        return self.take(self.session.viewed(View(ts, results or {})))

    def mutated(self, request: Request, outcome: Outcome) -> list[dict[str, Any]]:
        text = mutation_response(request.request_id, outcome, "0" * 16, redacted=False)
        ts = outcome.ts if outcome.failure is None else None
        return self.take(self.session.mutated(request, text, ts))

    def acted(self, request: Request, outcome: Outcome) -> list[dict[str, Any]]:
        text = action_response(request.request_id, outcome, "0" * 16, redacted=False)
        return self.take(self.session.acted(request, text))

    def catch_up(self) -> list[dict[str, Any]]:
        """The client has read the oldest Transition that was on its way."""
        self.undelivered -= 1
        return self.take(self.session.delivered())

    def take(self, effects: list[Effect]) -> list[dict[str, Any]]:
        """What the client is told by these effects."""
        before = len(self.told)
        for effect in effects:
            assert self.closed is None, f"{effect} after closing"
            match effect:
                case Send(text, transition):
                    self.hear(text)
                    if transition:
                        self.undelivered += 1
                        self.follows = not self.slow
                        if not self.slow:
                            self.catch_up()
                case Close():
                    self.closed = effect
                case _:
                    self.asked.append(effect)
        return self.told[before:]

    def hear(self, text: bytes) -> None:
        message = json.loads(text)
        self.told.append(message)
        if message["type"] == "Transition":
            self._follow(message)

    def _follow(self, message: dict[str, Any]) -> None:
        assert message["startVersion"] == self.version
        before, self.version = self.ts, message["endVersion"]
        assert self.ts >= before, "time goes back"
        ids = [each["queryId"] for each in message["modifications"]]
        assert ids == sorted(set(ids)), "one modification a query, in order"
        for each in message["modifications"]:
            if each["type"] == "QueryRemoved":
                self.results.pop(each["queryId"], None)
            else:
                self.results[each["queryId"]] = each.get("value", each.get("errorMessage"))

    def pop(self, kind: type[Effect]) -> list[Any]:
        """The effects of one kind, which are done now."""
        taken = [each for each in self.asked if isinstance(each, kind)]
        self.asked = [each for each in self.asked if not isinstance(each, kind)]
        return taken

    @property
    def refreshes(self) -> list[Refresh]:
        return self.pop(Refresh)

    @property
    def mutations(self) -> list[Request]:
        return [each.request for each in self.pop(RunMutation)]

    @property
    def actions(self) -> list[Request]:
        return [each.request for each in self.pop(RunAction)]

    @property
    def subscribed(self) -> dict[int, str]:
        """Path by query id, of what was asked of the engine and not taken back."""
        queries: dict[int, str] = {}
        for effect in self.asked:
            if isinstance(effect, Subscribe):
                queries[effect.query_id] = effect.path
            elif isinstance(effect, Unsubscribe):
                del queries[effect.query_id]
        return queries


def args_of(request: Request) -> object:
    return msgspec.json.decode(request.args)
