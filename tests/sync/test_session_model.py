"""The session against a model of the engine and of a client, in any order that the world may have."""

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pyconvex.engine.auth.identity import ANONYMOUS, Identity, user
from pyconvex.engine.failures import Failure
from pyconvex.engine.live.results import LiveResult
from pyconvex.engine.runner import Outcome
from pyconvex.errors import RequestRefused
from pyconvex.sync.effects import Identify, Refresh, Request, RunAction, RunMutation, Subscribe, Unsubscribe, Verify
from pyconvex.values.timestamps import decode_timestamp, encode_timestamp
from support.sessions import FIRST_TS, Client, result

STEPS = int(os.environ.get("PYCONVEX_FUZZED", "3000")) * 10
SEED = int(os.environ.get("PYCONVEX_SEED", "0"))
WALK = 1000

PATHS: list[str] = ["m:a", "m:b", "m:c"]
ADA, BOB = user({"issuer": "https://a", "subject": "ada"}), user({"issuer": "https://a", "subject": "bob"})


class Engine:
    """Queries whose results are a counter each, and one that says who asks."""

    def __init__(self) -> None:
        self.ts = FIRST_TS
        self.rows = dict.fromkeys(PATHS, 0)

    def commit(self, path: str) -> int:
        self.ts += 1
        self.rows[path] += 1
        return self.ts

    def answer(self, path: str, identity: Identity) -> LiveResult:
        who = identity.attributes["subject"] if identity.attributes and path == "m:c" else None
        return result([self.rows[path], who])


class World:
    """One session, its client, and the engine as the session sees it."""

    def __init__(self) -> None:
        self.client = Client()
        self.engine = Engine()
        # What the engine knows of the session.
        self.queries: dict[int, str] = {}
        self.identity = ANONYMOUS
        self.wanted: int | None = None
        self.running: Request | None = None
        self.committed: int | None = None
        self.actions: list[Request] = []
        self.verifying = False
        self.told_stale = True
        # What the client has said.
        self.query_set = 0
        self.identity_version = 0
        self.added: dict[int, str] = {}
        self.next_id = 0
        self.next_request = 0
        self.waiting: dict[int, int | None] = {}
        """Requests without an end: by number, and the commit's timestamp once it was responded to."""
        self.order: list[int] = []
        self.settled: list[int] = []
        self.hear(self.client.connect())

    # --- the client

    def modify(self, paths: list[str], removed: set[int], step: int) -> None:
        modifications: list[dict[str, Any]] = []
        for each in sorted(removed):
            del self.added[each]
            modifications.append({"type": "Remove", "queryId": each})
        for path in paths:
            modifications.append({"type": "Add", "queryId": self.next_id, "udfPath": path})
            self.added[self.next_id] = path
            self.next_id += 1
        base, self.query_set = self.query_set, self.query_set + step
        fields = {"baseVersion": base, "newVersion": self.query_set, "modifications": modifications}
        self.hear(self.client.say("ModifyQuerySet", **fields))

    def mutate(self) -> None:
        self.order.append(self.next_request)
        self.ask("Mutation")

    def act(self) -> None:
        self.ask("Action")

    def ask(self, kind: str) -> None:
        number, self.next_request = self.next_request, self.next_request + 1
        self.waiting[number] = None
        self.hear(self.client.say(kind, requestId=number, udfPath="m:send"))

    def authenticate(self, kind: str) -> None:
        base = self.identity_version
        self.hear(self.client.say("Authenticate", baseVersion=base, tokenType=kind, value="t"))
        if kind == "None":
            self.identity_version += 1

    def read(self) -> None:
        self.hear(self.client.catch_up())

    def become(self, slow: bool) -> None:
        self.client.slow = slow

    # --- the engine

    def verify(self, identity: Identity) -> None:
        self.verifying = False
        self.identity_version += 1
        self.hear(self.client.take(self.client.session.verified(identity)))

    def view(self) -> None:
        assert self.wanted is not None
        self.engine.ts = max(self.engine.ts, self.wanted)
        self.wanted, self.told_stale = None, False
        results = {number: self.engine.answer(path, self.identity) for number, path in self.queries.items()}
        told = self.client.view(self.engine.ts, results)
        if self.committed is not None:
            assert told == [], "it shows what was not responded to"
        self.hear(told)

    def commit_of_somebody_else(self, path: str) -> None:
        self.engine.commit(path)
        self.tell_stale(path)

    def commit(self, path: str, again: bool) -> None:
        self.hear(self.client.take(self.client.session.committing(True)))
        if again:
            self.hear(self.client.take(self.client.session.committing(False)))
            return
        self.committed = self.engine.commit(path)
        self.tell_stale(path)

    def end_mutation(self) -> None:
        assert self.running is not None
        request, self.running = self.running, None
        ts, self.committed = self.committed, None
        outcome = Outcome(failure=Failure("no")) if ts is None else Outcome(None, ts=ts)
        self.settled.append(request.request_id)
        self.hear(self.client.mutated(request, outcome))

    def end_action(self, number: int) -> None:
        request = self.actions.pop(number)
        self.hear(self.client.acted(request, Outcome("done")))

    def tell_stale(self, path: str) -> None:
        if path in self.queries.values() and not self.told_stale and self.wanted is None:
            if self.client.follows:
                self.wanted = 0
            else:
                self.told_stale = True
                self.hear(self.client.take(self.client.session.stale()))

    # --- what happens

    def hear(self, told: list[dict[str, Any]]) -> None:
        """Do what the session wants, and note what the client was told."""
        for message in told:
            if message["type"] in ("MutationResponse", "ActionResponse"):
                ts = message.get("ts")
                self.waiting[message["requestId"]] = 0 if ts is None else decode_timestamp(ts)
            else:
                assert message["type"] == "Transition"
                ended = [number for number, ts in self.waiting.items() if ts is not None and ts <= self.client.ts]
                for number in ended:
                    del self.waiting[number]
        asked, self.client.asked = self.client.asked, []
        for effect in asked:
            match effect:
                case Subscribe(number, path):
                    assert number not in self.queries
                    self.queries[number] = path
                case Unsubscribe(number):
                    del self.queries[number]
                case Identify(identity):
                    self.identity = identity
                case Refresh(at_least):
                    self.wanted = max(at_least, self.wanted or 0)
                case RunMutation(request):
                    assert self.running is None, "one at a time"
                    self.running = request
                case RunAction(request):
                    self.actions.append(request)
                case Verify():
                    self.verifying = True
                case _:
                    raise AssertionError(effect)

    def is_in_order(self) -> None:
        assert self.client.closed is None
        assert self.settled == self.order[: len(self.settled)]
        assert self.client.undelivered <= 2

    def settle(self) -> None:
        """When everybody has had a turn, the client knows all that there is to know."""
        if self.verifying:
            self.verify(ADA)
        for _ in range(1000):
            if self.client.undelivered:
                self.read()
            elif self.wanted is not None:
                self.view() if self.committed is None else self.end_mutation()
            elif self.running:
                self.end_mutation()
            elif self.actions:
                self.end_action(0)
            else:
                break
        assert self.client.session.idle
        assert self.waiting == {}
        assert self.settled == self.order
        if self.query_set or self.identity_version:
            version = {"querySet": self.query_set, "identity": self.identity_version}
            assert self.client.version == {**version, "ts": encode_timestamp(self.client.ts)}
        answered = {number: path for number, path in self.added.items() if path in PATHS}
        assert self.queries == answered
        known = {number: self.client.results[number] for number in answered}
        assert known == {n: [self.engine.rows[path], self.who(path)] for n, path in answered.items()}
        assert self.client.results.keys() == self.added.keys()

    def who(self, path: str) -> object:
        return self.identity.attributes["subject"] if self.identity.attributes and path == "m:c" else None


class Sessions(RuleBasedStateMachine):
    """The world in the hands of hypothesis, which makes short stories of what goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @precondition(lambda self: not self.world.verifying)
    @rule(paths=st.lists(st.sampled_from([*PATHS, "li-st"]), max_size=3), step=st.integers(1, 3), data=st.data())
    def modify(self, paths: list[str], step: int, data: st.DataObject) -> None:
        added = sorted(self.world.added)
        removed = data.draw(st.sets(st.sampled_from(added))) if added else set[int]()
        self.world.modify(paths, removed, step)

    @precondition(lambda self: not self.world.verifying)
    @rule()
    def mutate(self) -> None:
        self.world.mutate()

    @precondition(lambda self: not self.world.verifying)
    @rule()
    def act(self) -> None:
        self.world.act()

    @precondition(lambda self: not self.world.verifying)
    @rule(kind=st.sampled_from(("User", "None")))
    def authenticate(self, kind: str) -> None:
        self.world.authenticate(kind)

    @precondition(lambda self: self.world.verifying)
    @rule(identity=st.sampled_from((ADA, BOB)))
    def verify(self, identity: Identity) -> None:
        self.world.verify(identity)

    @precondition(lambda self: self.world.client.undelivered)
    @rule()
    def read(self) -> None:
        self.world.read()

    @rule(slow=st.booleans())
    def become(self, slow: bool) -> None:
        self.world.become(slow)

    @precondition(lambda self: self.world.wanted is not None)
    @rule()
    def view(self) -> None:
        self.world.view()

    @rule(path=st.sampled_from(PATHS))
    def commit_of_somebody_else(self, path: str) -> None:
        self.world.commit_of_somebody_else(path)

    @precondition(lambda self: self.world.running and self.world.committed is None)
    @rule(path=st.sampled_from(PATHS), again=st.booleans())
    def commit(self, path: str, again: bool) -> None:
        self.world.commit(path, again)

    @precondition(lambda self: self.world.running)
    @rule()
    def end_mutation(self) -> None:
        self.world.end_mutation()

    @precondition(lambda self: self.world.actions)
    @rule(data=st.data())
    def end_action(self, data: st.DataObject) -> None:
        self.world.end_action(data.draw(st.integers(0, len(self.world.actions) - 1)))

    @invariant()
    def is_in_order(self) -> None:
        self.world.is_in_order()

    def teardown(self) -> None:
        self.world.settle()


def walk(seed: int, steps: int) -> None:
    """Some steps of the world at random; many more than hypothesis takes in the same time."""
    dice, world = Random(seed), World()
    for _ in range(steps):
        step(dice, world)
        world.is_in_order()
    world.settle()


def step(dice: Random, world: World) -> None:
    may: list[Callable[[], None]] = [lambda: world.commit_of_somebody_else(dice.choice(PATHS))]
    may.append(lambda: world.become(dice.random() < 0.5))
    if world.verifying:
        may.append(lambda: world.verify(dice.choice((ADA, BOB))))
    else:
        paths = dice.choices([*PATHS, "li-st"], k=dice.randrange(3))
        removed = {each for each in world.added if dice.random() < 0.3}
        may += [lambda: world.modify(paths, removed, dice.randint(1, 3)), world.mutate, world.act]
        may.append(lambda: world.authenticate(dice.choice(("User", "None"))))
    if world.client.undelivered:
        may += [world.read] * 3
    if world.wanted is not None:
        may += [world.view] * 3
    if world.running:
        may.append(world.end_mutation)
        if world.committed is None:
            may += [lambda: world.commit(dice.choice(PATHS), dice.random() < 0.3)] * 3
    if world.actions:
        may.append(lambda: world.end_action(dice.randrange(len(world.actions))))
    dice.choice(may if dice.random() < 0.9 else [world.settle])()


def test_sessions() -> None:
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=STEPS // 500,
            stateful_step_count=100,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.parametrize("seed", range(SEED, SEED + STEPS // WALK))
def test_long_walks(seed: int) -> None:
    walk(seed, WALK)


def test_a_rejected_token_ends_any_session() -> None:
    client = Client()
    client.connect()
    client.say("Authenticate", baseVersion=0, tokenType="User", value="t")
    client.take(client.session.refused(RequestRefused(401, "Unauthenticated", "no")))
    assert client.closed is not None


pytestmark = pytest.mark.faults
