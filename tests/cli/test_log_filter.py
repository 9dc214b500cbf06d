"""Which entries the filters of `pyconvex logs` let through."""

import time
from typing import Any

import pytest

from pyconvex.engine.logs.logs import Completion, Level, LogEntry, LogLine, Progress
from pyconvex_cli.log_filter import BadFilter, log_filter, moment


def line(text: str, level: Level = Level.LOG) -> LogLine:
    return LogLine([text], level, 0.0)


def entry(identifier: str, kind: str = "Query", **fields: Any) -> Completion:
    return Completion(
        udf_type=kind,
        identifier=identifier,
        request_id=fields.pop("request_id", "r1"),
        execution_id="e",
        parent_execution_id=None,
        caller="HttpApi",
        identity_type="unknown",
        execution_timestamp=0.0,
        execution_time=0.0,
        user_execution_time=0.0,
        log_lines=fields.pop("lines", []),
        **fields,
    )


LIST = entry("messages:list")
SEND = entry("messages:send", "Mutation", error="Uncaught ValueError: boom", request_id="r2")
POST = entry("POST /postMessage", "HttpAction", status=200)
SUFFIX = entry("GET /getAuthorMessages/*", "HttpAction", status=404, request="GET /getAuthorMessages/Ada")
FAILED = entry("GET /fail", "HttpAction", status=503)
SAID = Progress(
    udf_type="Action",
    identifier="ai:ask",
    request_id="r3",
    execution_id="e",
    log_lines=[line("calling the model", Level.INFO), line("slow", Level.WARN)],
)
ALL: list[LogEntry] = [LIST, SEND, POST, SUFFIX, FAILED, SAID]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, ALL),
        ({"function": "messages:"}, [LIST, SEND]),
        ({"function": "/getAuthorMessages/Ada"}, [SUFFIX]),
        ({"kind": "query"}, [LIST]),
        ({"kind": "HTTP"}, [POST, SUFFIX, FAILED]),
        ({"status": "4xx"}, [SUFFIX]),
        ({"status": "200,5xx"}, [POST, FAILED]),
        ({"status": "ok"}, [LIST]),
        ({"status": "error"}, [SEND]),
        ({"request_id": "r2"}, [SEND]),
        ({"grep": r"boom|mod.l"}, [SEND, SAID]),
        ({"grep": "Ada$"}, [SUFFIX]),
        ({"success": True}, [LIST, POST]),
        ({"success": False}, [SEND, SUFFIX, FAILED]),
        ({"kind": "http", "success": False, "status": "5xx"}, [FAILED]),
    ],
)
def test_filters(flags: dict[str, Any], expected: list[LogEntry]) -> None:
    wanted = log_filter(**flags)
    assert [each for each in ALL if wanted.apply(each) is not None] == expected
    assert wanted.is_empty is (not flags)


def test_a_level_hides_the_lines_below_it() -> None:
    wanted = log_filter(level="warn")
    said = wanted.apply(SAID)
    assert said is not None
    assert [each.messages for each in said.log_lines] == [["slow"]]
    assert len(SAID.log_lines) == 2
    assert wanted.apply(LIST) is None
    assert wanted.apply(SEND) is SEND


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"kind": "cron"}, "--kind is 'cron', but it must be query, mutation, action or http"),
        ({"level": "loud"}, "--level is 'loud', but it must be one of DEBUG, INFO, LOG, WARN, ERROR"),
        ({"status": "6xx"}, "--status is '6xx', but it must be like 404, 5xx, ok or error"),
        ({"status": "200,"}, "--status is '', but it must be like 404, 5xx, ok or error"),
        ({"grep": "("}, "--grep is '(', which is no regular expression: "),
    ],
)
def test_a_bad_filter_is_explained(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(BadFilter) as caught:
        log_filter(**flags)
    assert str(caught.value).startswith(message)


def test_moments() -> None:
    assert moment("10m", now=1000) == 400
    assert moment("1.5 h", now=10_000) == 4600
    assert moment("2d", now=200_000) == 27_200
    assert moment("2026-11-22T12:00", now=0) == time.mktime((2026, 11, 22, 12, 0, 0, 0, 0, -1))
    assert moment("2026-11-22T12:00+00:00", now=0) == 1795348800


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10 x", "-5m"])
def test_a_bad_moment_is_explained(text: str) -> None:
    with pytest.raises(BadFilter, match="must be like 10m, 2h, 3d"):
        moment(text, now=0)
