"""`sync/session.py` rule by rule: versions, order, errors."""

from collections.abc import Callable
from typing import Any

import pytest

from pyconvex.engine.auth.identity import ADMIN, ANONYMOUS, Identity, user, verified
from pyconvex.engine.failures import Failure
from pyconvex.engine.runner import Outcome
from pyconvex.errors import RequestRefused
from pyconvex.sync.effects import Close, Identify, Refresh, Subscribe, Unsubscribe, Verify
from pyconvex.sync.messages import Malformed, parse
from pyconvex.sync.session import (
    ACTIONS_RUNNING_MAX,
    AHEAD_NS,
    ASKED_BYTES_MAX,
    GOING_AWAY,
    INTERNAL_ERROR,
    MUTATIONS_QUEUED_MAX,
    NO_STATUS,
    NORMAL,
    TRY_AGAIN_LATER,
    Session,
)
from pyconvex.values.timestamps import encode_timestamp
from support.sessions import FIRST_TS, SESSION_ID, START_MS, Client, args_of, result

T1 = FIRST_TS
T2, T3, T4 = T1 + 1, T1 + 2, T1 + 3


def connected(**fields: object) -> Client:
    client = Client()
    assert client.connect(**fields) == []
    return client


def ready(*paths: str) -> Client:
    """A client that has got a first result for queries of these paths."""
    client = connected()
    client.subscribe(*paths)
    assert client.refreshes == [Refresh(0)]
    client.view(T1, {number: result("first") for number in range(len(paths))})
    return client


def ada(expires: float | None = None) -> Identity:
    if expires is None:
        return user({"issuer": "https://a", "subject": "ada"})
    return verified({"tokenIdentifier": "https://a|ada"}, expires=expires, token="t")


# --- connecting


def test_connect_has_no_reply() -> None:
    client = connected()
    assert (client.told, client.asked, client.closed) == ([], [], None)


def test_something_else_before_connect_closes() -> None:
    client = Client()
    client.say("ModifyQuerySet", baseVersion=0, newVersion=1, modifications=[])
    assert client.closed == Close(
        INTERNAL_ERROR, "InternalServerError: a connection begins with Connect, and says it once"
    )


def test_a_second_connect_closes() -> None:
    client = connected()
    client.connect()
    assert client.closed is not None
    assert client.closed.code == INTERNAL_ERROR


def test_the_first_view_is_not_older_than_what_the_client_has_seen() -> None:
    client = connected(maxObservedTimestamp=encode_timestamp(T3))
    client.subscribe()
    assert client.refreshes == [Refresh(T3)]


def test_what_nobody_can_have_seen_is_ignored() -> None:
    client = connected(maxObservedTimestamp=encode_timestamp(FIRST_TS + AHEAD_NS + 1))
    client.subscribe()
    assert client.refreshes == [Refresh(0)]


def test_clocks_are_told_as_numbers() -> None:
    client = connected(clientTs=int(START_MS) - 127)
    client.clock.advance(1)
    client.subscribe()
    (told,) = client.view(T1)
    assert (told["clientClockSkew"], told["serverTs"]) == (-127, FIRST_TS + 1_000_000_000)


def test_clocks_are_left_out_for_a_client_without_one() -> None:
    client = connected(clientTs=None)
    client.subscribe()
    (told,) = client.view(T1)
    assert "clientClockSkew" not in told
    assert "serverTs" not in told


def test_events_are_ignored_whatever_they_are() -> None:
    client = connected()
    client.say("Event", eventType="Unheard", event={"of": [1]})
    assert (client.told, client.asked) == ([], [])


# --- the set of queries


def test_the_first_transition_comes_even_for_no_queries() -> None:
    client = connected(clientTs=int(START_MS))
    client.subscribe()
    assert client.view(T1) == [
        {
            "type": "Transition",
            "startVersion": {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="},
            "endVersion": {"querySet": 1, "identity": 0, "ts": encode_timestamp(T1)},
            "modifications": [],
            "clientClockSkew": 0,
            "serverTs": FIRST_TS,
        }
    ]


def test_queries_are_asked_for_and_answered() -> None:
    client = connected()
    client.subscribe("m:a", "m:b")
    assert client.pop(Subscribe) == [Subscribe(0, "m:a", [], None), Subscribe(1, "m:b", [], None)]
    (told,) = client.view(T1, {1: result("no", ok=False), 0: result([1])})
    assert told["modifications"] == [
        {"type": "QueryUpdated", "queryId": 0, "value": [1], "logLines": [], "journal": None},
        {"type": "QueryFailed", "queryId": 1, "errorMessage": "no", "logLines": [], "journal": None},
    ]


def test_arguments_and_journals_are_passed_on() -> None:
    client = connected()
    add = {"type": "Add", "queryId": 4, "udfPath": "m:a", "args": [{"n": {"$integer": "BQAAAAAAAAA="}}], "journal": "j"}
    client.say("ModifyQuerySet", baseVersion=0, newVersion=1, modifications=[add])
    assert client.pop(Subscribe) == [Subscribe(4, "m:a", [{"n": 5}], "j")]


def test_changes_that_came_before_the_view_are_one_transition() -> None:
    client = connected()
    client.subscribe("m:a")
    client.subscribe("m:b", first=1, base=1)
    client.say("ModifyQuerySet", baseVersion=2, newVersion=7, modifications=[{"type": "Remove", "queryId": 0}])
    assert client.refreshes == [Refresh(0)]
    (told,) = client.view(T1, {1: result("b")})
    assert told["endVersion"]["querySet"] == 7
    assert [(each["type"], each["queryId"]) for each in told["modifications"]] == [
        ("QueryRemoved", 0),
        ("QueryUpdated", 1),
    ]
    assert client.refreshes == []


def test_every_remove_is_answered_once() -> None:
    client = ready("m:a", "m:b")
    client.say("ModifyQuerySet", baseVersion=1, newVersion=2, modifications=[{"type": "Remove", "queryId": 1}])
    assert client.pop(Unsubscribe) == [Unsubscribe(1)]
    (told,) = client.view(T1, {0: result("first")})
    assert told["modifications"] == [{"type": "QueryRemoved", "queryId": 1}]
    client.subscribe(base=2)
    assert client.view(T1, {0: result("first")})[0]["modifications"] == []


def test_a_query_that_was_removed_and_added_again_is_answered_anew() -> None:
    client = ready("m:a")
    again = [{"type": "Remove", "queryId": 0}, {"type": "Add", "queryId": 0, "udfPath": "m:a"}]
    client.say("ModifyQuerySet", baseVersion=1, newVersion=2, modifications=again)
    (told,) = client.view(T1, {0: result("first")})
    assert [each["type"] for each in told["modifications"]] == ["QueryUpdated"]


@pytest.mark.parametrize(
    "modification",
    [{"type": "Add", "queryId": 0, "udfPath": "m:a"}, {"type": "Remove", "queryId": 1}],
)
def test_what_no_client_does_closes(modification: dict[str, object]) -> None:
    client = ready("m:a")
    client.say("ModifyQuerySet", baseVersion=1, newVersion=2, modifications=[modification])
    assert client.closed is not None
    assert client.closed.code == INTERNAL_ERROR
    assert client.closed.reason.startswith("InternalServerError")


def test_another_base_version_is_fatal() -> None:
    client = ready()
    told = client.subscribe(base=3)
    error = "Base version 3 passed up doesn't match the current version 1"
    assert told == [{"type": "FatalError", "error": error}]
    assert client.closed == Close(NO_STATUS)


def test_a_version_that_does_not_grow_closes() -> None:
    client = connected()
    client.say("ModifyQuerySet", baseVersion=0, newVersion=0, modifications=[])
    assert client.closed is not None
    assert client.closed.code == INTERNAL_ERROR


@pytest.mark.parametrize(
    ("add", "error"),
    [
        ({"udfPath": "messages:li-st"}, "messages:li-st is not a valid path to a Convex function."),
        ({"udfPath": ""}, " is not a valid path to a Convex function."),
        ({"udfPath": "m:a", "componentPath": "x"}, "This deployment has no components"),
        ({"udfPath": "m:a", "args": [{"n": {"$integer": "x"}}]}, "`$integer` must be a text in base64"),
    ],
)
def test_what_cannot_be_asked_fails_alone(add: dict[str, object], error: str) -> None:
    client = connected()
    adds = [{"type": "Add", "queryId": 0, **add}, {"type": "Add", "queryId": 1, "udfPath": "m:a"}]
    client.say("ModifyQuerySet", baseVersion=0, newVersion=1, modifications=adds)
    assert client.subscribed == {1: "m:a"}
    (told,) = client.view(T1, {1: result(5)})
    failed, updated = told["modifications"]
    assert failed["type"] == "QueryFailed"
    assert failed["errorMessage"].startswith("[Request ID: ")
    assert f"] Server Error\n{error}" in failed["errorMessage"]
    assert (failed["logLines"], failed["journal"]) == ([], None)
    assert updated["value"] == 5
    client.session.stale()
    assert client.view(T2, {1: result(5)})[0]["modifications"] == []  # said once
    client.say("ModifyQuerySet", baseVersion=1, newVersion=2, modifications=[{"type": "Remove", "queryId": 0}])
    assert client.pop(Unsubscribe) == []
    assert client.view(T3, {1: result(5)})[0]["modifications"] == [{"type": "QueryRemoved", "queryId": 0}]


def test_the_root_component_may_be_named() -> None:
    client = connected()
    add = {"type": "Add", "queryId": 0, "udfPath": "m:a", "componentPath": ""}
    client.say("ModifyQuerySet", baseVersion=0, newVersion=1, modifications=[add])
    assert client.subscribed == {0: "m:a"}


def test_why_it_cannot_be_asked_is_kept_from_clients_when_redacting() -> None:
    client = Client()
    client.session = Session(client.clock, redacted=True)
    client.connect()
    client.subscribe("li-st")
    (told,) = client.view(T1)
    assert told["modifications"][0]["errorMessage"].endswith("] Server Error")


# --- results


def test_only_what_has_changed_is_sent() -> None:
    client = ready("m:a", "m:b")
    client.take(client.session.stale())
    assert client.refreshes == [Refresh(0)]
    (told,) = client.view(T2, {0: result("second"), 1: result("first")})
    assert [(each["queryId"], each["value"]) for each in told["modifications"]] == [(0, "second")]
    assert told["startVersion"]["ts"] == encode_timestamp(T1)
    assert told["endVersion"]["ts"] == encode_timestamp(T2)


def test_the_same_text_as_value_and_as_error_is_a_change() -> None:
    client = ready("m:a")
    client.session.stale()
    (told,) = client.view(T2, {0: result("first", ok=False)})
    assert [each["type"] for each in told["modifications"]] == ["QueryFailed"]


def test_a_view_is_asked_for_once() -> None:
    client = ready("m:a")
    client.take(client.session.stale())
    client.take(client.session.stale())
    assert client.refreshes == [Refresh(0)]


def test_a_slow_client_gets_no_view_before_it_has_read_the_last_one() -> None:
    client = ready("m:a")
    client.slow = True
    client.take(client.session.stale())
    client.view(T2, {0: result(2)})
    client.refreshes.clear()
    client.take(client.session.stale())
    assert client.refreshes == []
    client.catch_up()
    assert client.refreshes == [Refresh(0)]


# --- mutations and actions


def mutate(client: Client, number: int = 0) -> None:
    client.say("Mutation", requestId=number, udfPath="m:send", args=[{"n": number}])


def test_a_mutation_is_answered_and_then_shown() -> None:
    client = ready("m:a")
    mutate(client)
    (request,) = client.mutations
    assert (request.request_id, request.path, args_of(request)) == (0, "m:send", [{"n": 0}])
    assert client.mutated(request, Outcome("done", ts=T2, log_lines=["[LOG] 'sent'"])) == [
        {
            "type": "MutationResponse",
            "requestId": 0,
            "success": True,
            "result": "done",
            "ts": encode_timestamp(T2),
            "logLines": ["[LOG] 'sent'"],
        }
    ]
    assert client.refreshes == [Refresh(T2)]
    (told,) = client.view(T2, {0: result("second")})
    assert told["endVersion"]["ts"] == encode_timestamp(T2)


def test_a_transition_that_shows_a_mutation_waits_for_its_response() -> None:
    client = ready("m:a")
    mutate(client)
    (request,) = client.mutations
    client.take(client.session.committing(True))
    client.take(client.session.stale())
    client.refreshes.clear()
    assert client.view(T2, {0: result("second")}) == []
    told = client.mutated(request, Outcome(None, ts=T2))
    assert [each["type"] for each in told] == ["MutationResponse", "Transition"]
    assert client.refreshes == []  # that one was late enough


def test_a_view_from_before_the_commit_is_followed_by_another() -> None:
    client = ready("m:a")
    client.take(client.session.stale())
    client.refreshes.clear()
    mutate(client)
    (request,) = client.mutations
    client.mutated(request, Outcome(None, ts=T3))
    assert client.refreshes == []
    (told,) = client.view(T2, {0: result("second")})
    assert told["endVersion"]["ts"] == encode_timestamp(T2)
    assert client.refreshes == [Refresh(T3)]


def test_a_mutation_that_runs_again_holds_nothing_up() -> None:
    client = ready("m:a")
    mutate(client)
    client.take(client.session.committing(True))
    client.take(client.session.stale())
    client.view(T2, {0: result("second")})
    told = client.take(client.session.committing(False))
    assert [each["type"] for each in told] == ["Transition"]


def test_what_is_held_back_is_thrown_away_when_the_client_wants_something_else() -> None:
    client = ready("m:a")
    mutate(client)
    (request,) = client.mutations
    client.take(client.session.committing(True))
    client.take(client.session.stale())
    client.refreshes.clear()
    client.view(T2, {0: result("second")})
    client.subscribe("m:b", first=1, base=1)
    assert client.refreshes == [Refresh(0)]
    told = client.mutated(request, Outcome(None, ts=T2))
    assert [each["type"] for each in told] == ["MutationResponse"]
    (told,) = client.view(T2, {0: result("second"), 1: result("b")})
    assert [each["queryId"] for each in told["modifications"]] == [0, 1]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure("Uncaught Error: no"), {}),
        (Failure("Uncaught ConvexError: null", data=None), {"errorData": None}),
        (Failure("Uncaught ConvexError: 7", data=7), {"errorData": 7.0}),
    ],
)
def test_a_failed_mutation_has_a_transition_too(failure: Failure, expected: dict[str, Any]) -> None:
    client = ready()
    mutate(client)
    (request,) = client.mutations
    (told,) = client.mutated(request, Outcome(failure=failure, log_lines=["[LOG] 'x'"]))
    text = f"[Request ID: {'0' * 16}] Server Error\n{failure.message}"
    assert told == {
        "type": "MutationResponse",
        "requestId": 0,
        "success": False,
        "result": text,
        "ts": None,
        "logLines": ["[LOG] 'x'"],
        **expected,
    }
    assert client.refreshes == [Refresh(0)]
    assert client.view(T1)[0]["modifications"] == []


def test_mutations_run_one_at_a_time_in_order() -> None:
    client = ready()
    for number in range(3):
        mutate(client, number)
    seen: list[int] = []
    for _ in range(3):
        (request,) = client.mutations
        seen.append(request.request_id)
        client.mutated(request, Outcome(None, ts=T2))
    assert seen == [0, 1, 2]
    assert client.mutations == []


def test_too_many_mutations_close() -> None:
    client = ready()
    for number in range(MUTATIONS_QUEUED_MAX + 1):  # one runs
        mutate(client, number)
    assert client.closed is None
    mutate(client, MUTATIONS_QUEUED_MAX + 1)
    assert client.closed == Close(TRY_AGAIN_LATER, "TooManyConcurrentMutations")


def test_actions_run_beside_one_another() -> None:
    client = ready()
    for number in range(3):
        client.say("Action", requestId=number, udfPath="m:act")
    first, second, third = client.actions
    (told,) = client.acted(second, Outcome({"a": 1.0}, log_lines=["[LOG] 'x'"]))
    assert told == {
        "type": "ActionResponse",
        "requestId": 1,
        "success": True,
        "result": {"a": 1.0},
        "logLines": ["[LOG] 'x'"],
    }
    assert client.refreshes == [Refresh(0)]
    client.acted(first, Outcome(failure=Failure("no")))
    client.acted(third, Outcome(None))
    client.view(T1)
    assert client.refreshes == []  # one Transition behind all three


def test_too_many_actions_close() -> None:
    client = ready()
    for number in range(ACTIONS_RUNNING_MAX):
        client.say("Action", requestId=number, udfPath="m:act")
    assert client.closed is None
    client.say("Action", requestId=ACTIONS_RUNNING_MAX, udfPath="m:act")
    assert client.closed == Close(TRY_AGAIN_LATER, "TooManyInflightActionsForSingleClient")


def test_actions_that_have_ended_make_room_for_as_many() -> None:
    client = ready()
    for number in range(ACTIONS_RUNNING_MAX):
        client.say("Action", requestId=number, udfPath="m:act")
    for request in client.actions[:2]:
        client.acted(request, Outcome(None))
    for number in range(2):
        client.say("Action", requestId=ACTIONS_RUNNING_MAX + number, udfPath="m:act")
    assert client.closed is None
    client.say("Action", requestId=ACTIONS_RUNNING_MAX + 2, udfPath="m:act")
    assert client.closed is not None


def test_a_client_that_asks_for_very_much_is_not_heard_for_a_while() -> None:
    client = ready()
    large = "x" * (ASKED_BYTES_MAX // 2)
    for number in range(2):
        assert not client.session.crowded
        client.say("Mutation", requestId=number, udfPath="m:send", args=[{"n": large}])
    assert client.session.crowded
    (request,) = client.mutations
    client.mutated(request, Outcome(None, ts=T2))
    assert not client.session.crowded
    client.say("Action", requestId=2, udfPath="m:act", args=[{"n": large}])
    assert client.session.crowded
    (request,) = client.actions
    client.acted(request, Outcome(None))
    assert not client.session.crowded


# --- identities


def authenticate(client: Client, base: int = 0, kind: str = "User", **fields: object) -> list[dict[str, Any]]:
    return client.say("Authenticate", baseVersion=base, tokenType=kind, value="t", **fields)


def test_an_accepted_token_raises_the_version_of_the_identity() -> None:
    client = ready("m:a")
    authenticate(client)
    (verify,) = client.pop(Verify)
    assert (verify.message.token_type, verify.message.value) == ("User", "t")
    assert client.refreshes == []
    client.take(client.session.verified(ada()))
    assert client.pop(Identify) == [Identify(ada())]
    assert client.refreshes == [Refresh(0)]
    (told,) = client.view(T1, {0: result("first")})
    assert told["endVersion"] == {"querySet": 1, "identity": 1, "ts": encode_timestamp(T1)}
    assert told["modifications"] == []


def test_signing_out_needs_no_verifying() -> None:
    client = ready("m:a")
    authenticate(client, kind="None")
    assert client.pop(Identify) == [Identify(ANONYMOUS)]
    assert client.view(T1, {0: result("other")})[0]["endVersion"]["identity"] == 1


def test_another_base_version_of_the_identity_closes() -> None:
    client = ready()
    authenticate(client, base=1)
    assert client.closed is not None
    assert client.closed.code == INTERNAL_ERROR


def test_requests_are_run_as_who_asked_for_them() -> None:
    client = ready()
    mutate(client, 0)
    mutate(client, 1)
    authenticate(client)
    client.take(client.session.verified(ada()))
    mutate(client, 2)
    client.say("Action", requestId=3, udfPath="m:act")
    seen: list[Identity] = []
    for _ in range(3):
        (request,) = client.mutations
        seen.append(request.identity)
        client.mutated(request, Outcome(None, ts=T2))
    assert seen == [ANONYMOUS, ANONYMOUS, ada()]
    assert client.actions[0].identity == ada()


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_rejected_token_is_told_of(status: int) -> None:
    client = ready()
    authenticate(client)
    told = client.take(client.session.refused(RequestRefused(status, "Unauthenticated", "no good")))
    assert told == [{"type": "AuthError", "error": "no good", "baseVersion": 0, "authUpdateAttempted": True}]
    assert client.closed == Close(NO_STATUS)


def test_an_auth_error_names_the_version_that_was_sent_last() -> None:
    client = ready()
    authenticate(client)
    client.take(client.session.verified(ada()))
    client.view(T1)
    authenticate(client, base=1)
    client.take(client.session.verified(ada()))  # not sent yet
    authenticate(client, base=2)
    (told,) = client.take(client.session.refused(RequestRefused(401, "Unauthenticated", "no good")))
    assert told["baseVersion"] == 1


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (RequestRefused(503, "AuthProviderUnreachable", "x"), Close(TRY_AGAIN_LATER, "AuthProviderUnreachable")),
        (RequestRefused(500, "Whatever", "x"), Close(INTERNAL_ERROR, "InternalServerError")),
        (RequestRefused(404, "NotFound", "x"), Close(NORMAL, "NotFound")),
    ],
)
def test_when_a_token_could_not_be_verified_the_client_tries_again(error: RequestRefused, close: Close) -> None:
    client = ready()
    authenticate(client)
    assert client.take(client.session.refused(error)) == []
    assert client.closed == close


def act(client: Client) -> None:
    client.say("Action", requestId=0, udfPath="m:act")


def become_stale(client: Client) -> None:
    client.take(client.session.stale())


def see_something_new(client: Client) -> None:
    client.view(T2)


@pytest.mark.parametrize("something_runs", [mutate, act, become_stale, see_something_new])
def test_an_expired_token_is_found_out_when_something_has_to_run(something_runs: Callable[[Client], object]) -> None:
    client = ready()
    authenticate(client)
    client.take(client.session.verified(ada(expires=START_MS / 1000 + 60)))
    client.view(T1)
    client.clock.advance(59)
    client.session.stale()
    client.view(T1)
    client.clock.advance(2)
    assert client.closed is None
    client.told.clear()
    something_runs(client)
    assert client.told == [
        {"type": "AuthError", "error": "Convex token identity expired", "baseVersion": 1, "authUpdateAttempted": False}
    ]
    assert client.closed == Close(NO_STATUS)


def test_a_queued_mutation_whose_token_has_expired_does_not_run() -> None:
    client = ready()
    mutate(client)
    authenticate(client)
    client.take(client.session.verified(ada(expires=START_MS / 1000 + 60)))
    mutate(client, 1)
    (request,) = client.mutations
    client.clock.advance(61)
    told = client.mutated(request, Outcome(None, ts=T2))
    assert [each["type"] for each in told] == ["MutationResponse", "AuthError"]
    assert client.mutations == []


def test_admins_act_as_users_by_either_name() -> None:
    for name in ("impersonating", "acting_as"):
        client = ready()
        client.say("Authenticate", baseVersion=0, tokenType="Admin", value="key", **{name: {"subject": "u"}})
        (verify,) = client.pop(Verify)
        assert verify.message.user == {"subject": "u"}
        client.take(client.session.verified(ADMIN))
        assert client.pop(Identify) == [Identify(ADMIN)]


# --- errors and endings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Input data was truncated"),
        ("nonsense", "JSON is malformed"),
        ("[]", "Expected `object`, got `array`"),
        ('{"type":"Connect"}', "Object missing required field `sessionId`"),
        ('{"type":"Connect","sessionId":"5"}', "Invalid UUID"),
        (f'{{"type":"Connect","sessionId":"{SESSION_ID}","maxObservedTimestamp":"5"}}', ""),
        ('{"type":"Unheard"}', "Invalid value 'Unheard'"),
        ('{"type":"Mutation","requestId":-1,"udfPath":"a"}', "Expected `int` >= 0"),
        ('{"type":"Mutation","requestId":4294967296,"udfPath":"a"}', "Expected `int` <= 4294967295"),
        ('{"type":"Mutation","requestId":0}', "Object missing required field `udfPath`"),
        ('{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1}', "missing required field `modifications`"),
        ('{"type":"Authenticate","baseVersion":0,"tokenType":"User"}', "missing required field `value`"),
        ('{"type":"Authenticate","baseVersion":0,"tokenType":"Other"}', "Invalid enum value 'Other'"),
        ('{"type":"Event","x":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ],
)
def test_what_is_no_message_is_fatal(text: str, reason: str) -> None:
    client = connected()
    with pytest.raises(Malformed) as caught:
        parse(text)
    (told,) = client.take(client.session.malformed(caught.value))
    assert told["type"] == "FatalError"
    assert told["error"].startswith("Received Invalid JSON on websocket: ")
    assert reason in told["error"]
    assert client.closed == Close(NO_STATUS)


def test_unknown_fields_and_any_order_are_fine() -> None:
    text = f'{{"later":{{"a":[1]}},"sessionId":"{SESSION_ID}","connectionCount":0,"type":"Connect"}}'
    assert str(getattr(parse(text), "session_id", None)) == SESSION_ID


@pytest.mark.parametrize(
    ("error", "close"),
    [
        (RequestRefused(429, "TooManyConcurrentRequests", "x"), Close(TRY_AGAIN_LATER, "TooManyConcurrentRequests")),
        (RequestRefused(503, "DatabaseUnreachable", "x"), Close(TRY_AGAIN_LATER, "DatabaseUnreachable")),
        (RequestRefused(500, "CommitUnknown", "x"), Close(INTERNAL_ERROR, "InternalServerError")),
    ],
)
def test_failures_of_the_deployment_close(error: RequestRefused, close: Close) -> None:
    client = ready()
    mutate(client)
    client.take(client.session.failed(error))
    assert client.closed == close


def test_nothing_happens_in_a_closed_session() -> None:
    client = ready("m:a")
    mutate(client)
    (request,) = client.mutations
    client.take(client.session.end())
    session = client.session
    client.asked.clear()
    assert client.closed == Close(GOING_AWAY, "ServerStopped")
    assert session.stale() == session.delivered() == session.end() == session.stop() == []
    assert client.view(T2) == client.mutated(request, Outcome(None, ts=T2)) == client.acted(request, Outcome()) == []
    assert session.verified(ada()) == session.refused(RequestRefused(401, "x", "x")) == session.crash("x") == []
    assert session.committing(True) == session.failed(RequestRefused(500, "x", "x")) == []
    mutate(client, 1)
    assert client.asked == []


def test_a_server_that_stops_ends_what_runs_and_begins_nothing() -> None:
    client = ready()
    mutate(client, 0)
    mutate(client, 1)
    (request,) = client.mutations
    client.take(client.session.stop())
    assert client.closed is None
    mutate(client, 2)
    client.mutated(request, Outcome(None, ts=T2))
    assert client.mutations == []
    assert client.closed is None
    client.view(T2)
    assert client.closed == Close(GOING_AWAY, "ServerStopped")


def test_an_idle_session_ends_at_once() -> None:
    client = ready()
    client.take(client.session.stop())
    assert client.closed == Close(GOING_AWAY, "ServerStopped")


def test_a_session_in_which_nothing_was_said_ends_at_once() -> None:
    client = Client()
    client.take(client.session.stop())
    assert client.closed == Close(GOING_AWAY, "ServerStopped")
