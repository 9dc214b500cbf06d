"""Rows of the log, to the letter, and the putting together of what belongs to one request."""

import re
import time

import pytest

from pyconvex.engine.logs.logs import Completion, Level, LogEntry, LogLine, Progress, Success, UsageStats
from pyconvex.errors import Place
from pyconvex.loading.excerpt import Excerpt, excerpt
from pyconvex_cli.console import PLAIN_WIDTH, Terminal
from pyconvex_cli.log_rows import Gatherer, Layout, request_lines

NOON = time.mktime((2026, 11, 22, 12, 1, 9, 0, 0, -1))


def done(
    identifier: str = "messages:list",
    kind: str = "Query",
    *,
    id: str = "1",
    parent: str | None = None,
    took: float = 0.0009,
    begun: float = 0.0,
    error: str | None = None,
    status: int | None = None,
    request: str | None = None,
    note: str | None = None,
    hint: str | None = None,
    lines: list[LogLine] | None = None,
    usage: UsageStats | None = None,
    request_id: str = "r",
    job: str | None = None,
    will_retry: bool = False,
) -> Completion:
    return Completion(
        udf_type=kind,
        identifier=identifier,
        request_id=request_id,
        execution_id=id,
        parent_execution_id=parent,
        caller="HttpApi",
        identity_type="unknown",
        execution_timestamp=NOON + begun,
        execution_time=took,
        user_execution_time=took,
        log_lines=lines or [],
        success=None if status is None else Success(str(status)),
        error=error,
        usage_stats=usage or UsageStats(),
        timestamp=NOON + begun,
        status=status,
        request=request,
        note=note,
        hint=hint,
        job=job,
        will_retry=will_retry,
    )


def said(*texts: str, id: str = "1", level: Level = Level.LOG, after: float = 0.0, request_id: str = "r") -> Progress:
    lines = [LogLine([text], level, (NOON + after) * 1000, plain=text) for text in texts]
    return Progress(
        udf_type="HttpAction", identifier="POST /x", request_id=request_id, execution_id=id, log_lines=lines
    )


def rows(*entries: LogEntry, width: int = PLAIN_WIDTH, sources: dict[str, str] | None = None) -> list[str]:
    def find(place: Place) -> Excerpt | None:
        return excerpt(sources or {}, place)

    layout = Layout.fitting(["GET /getMessagesByAuthor"], Terminal(False, width), find)
    return list(request_lines(entries, layout))


def test_the_columns() -> None:
    layout = Layout.fitting(["GET /getMessagesByAuthor"], Terminal(False, 80))
    assert [layout.header(), *rows(done(usage=UsageStats(database_read_documents=12)), width=80)] == [
        "Time      Kind         Function / route          Status     Took   Log",
        "12:01:09  query        messages:list             ok       0.9 ms   12 read",
    ]


def test_a_request_stands_above_what_it_called() -> None:
    entries = [
        done("messages:list", id="2", parent="1", took=0.0009, begun=0.1),
        said("hello", id="1", after=0.05),
        said("bye\nbye", id="1", level=Level.WARN, after=0.2),
        done("GET /getMessages*", "HttpAction", took=0.0041, status=200, request="GET /getMessagesByAuthor"),
    ]
    assert rows(*entries) == [
        "12:01:09  HTTP         GET /getMessagesByAuthor  200      4.1 ms",
        "12:01:09               │ hello",
        "12:01:09    query      messages:list             ok       0.9 ms",
        "12:01:09               │ WARN bye",
        "                       │ bye",
    ]


def test_a_scheduled_function_is_told_from_others() -> None:
    job = "kc2egdba81xyb3y5vvfpf4v6v98jq39m"
    entries = [
        done("m:put", "Mutation", id="2", parent="1", job=job),
        done("m:act", "Action", job=job, usage=UsageStats(database_read_documents=2)),
    ]
    assert rows(*entries, width=100) == [
        "12:01:09  action       m:act                     ok       0.9 ms   job kc2egdba… · 2 read",
        "12:01:09    mutation   m:put                     ok       0.9 ms",
    ]
    assert rows(done(job=job, will_retry=True), width=100)[0].endswith("job kc2egdba…, will retry")


def test_deep_calls_are_indented_no_further_than_the_column_goes() -> None:
    entries = [
        done(f"m:f{depth}", "Mutation", id=str(depth), parent=str(depth - 1) if depth else None) for depth in range(4)
    ]
    assert [row[10:22] for row in rows(*entries)] == ["mutation    ", "  mutation  ", "    mutation", "    mutation"]


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (done(), "ok"),
        (done(error="Uncaught ValueError: x"), "error"),
        (done(kind="HttpAction", status=404), "404"),
        (done(kind="HttpAction", status=500, error="Uncaught ValueError: x"), "500"),
        (done(kind="HttpAction", error="Uncaught ValueError: x"), "error"),
    ],
)
def test_status(entry: Completion, status: str) -> None:
    assert rows(entry)[0].split()[-3:-2] == [status]


def test_an_error_shows_the_users_frames_and_one_code_frame() -> None:
    error = "Uncaught ValueError: no author\n    at check (../convex/m.py:2)\n    at send (../convex/m.py:9)\n"
    assert rows(done("messages:send", "Mutation", error=error), sources={"convex/m.py": "def check():\n  raise\n"}) == [
        "12:01:09  mutation     messages:send             error    0.9 ms",
        "                       │ ValueError: no author",
        "                       │   at check (convex/m.py:2)",
        "                       │    1 │ def check():",
        "                       │    2 │   raise",
        "                       │   at send (convex/m.py:9)",
    ]


def test_how_to_fix_an_error_stands_below_it() -> None:
    refused = done("POST /stripe", "HttpAction", error="No signature matches", hint="Check the secret.", status=400)
    assert rows(refused, width=80) == [
        "12:01:09  HTTP         POST /stripe              400      0.9 ms",
        "                       │ No signature matches",
        "                       │ hint: Check the secret.",
    ]
    failed = done(error="Uncaught E: x\n    at f (../convex/m.py:2)\n", hint="Do it differently.")
    assert [line.strip() for line in rows(failed)[1:]] == [
        "│ E: x",
        "│   at f (convex/m.py:2)",
        "│ hint: Do it differently.",
    ]


def test_an_error_that_climbs_is_told_once() -> None:
    error = "Uncaught ValueError: boom\n    at inner (../convex/m.py:2)\n"
    climbed = error + "    at outer (../convex/m.py:5)\n"
    lines = rows(
        done("m:inner", "Mutation", id="2", parent="1", error=error),
        done("POST /x", "HttpAction", error=climbed, status=500),
    )
    assert sum("ValueError: boom" in line for line in lines) == 1


def test_a_note_goes_below_where_it_does_not_fit() -> None:
    note = "no route; nearest is POST /sendMessage (http.py:9)"
    entry = done("POST /sendmessage", "HttpAction", status=404, note=note)
    assert rows(entry) == ["12:01:09  HTTP         POST /sendmessage         404      0.9 ms   " + note]
    assert rows(entry, width=80) == [
        "12:01:09  HTTP         POST /sendmessage         404      0.9 ms",
        "                       │ no route; nearest is POST /sendMessage (http.py:9)",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_rows_keep_within_the_terminal(width: int) -> None:
    entries = [
        said("a long line " * 30),
        done(
            "GET /" + "x" * 300, "HttpAction", status=500, error="Uncaught ValueError: " + "very " * 50, note="n" * 90
        ),
    ]
    assert max(map(len, rows(*entries, width=width))) <= width


def test_nothing_in_a_row_commands_the_terminal() -> None:
    entries = [
        said("\x1b[2J"),
        done("GET /\x1b[31m", "HttpAction", status=404, error="Uncaught X: \x07", note="\x9b1m"),
    ]
    assert not re.search("[\x00-\x1f\x7f-\x9f]", "".join(rows(*entries)))


def test_lines_of_a_request_that_goes_on_are_shown_without_it() -> None:
    assert rows(said("still working")) == ["12:01:09               │ still working"]


class TestGatherer:
    def test_a_call_from_outside_without_inner_calls_is_ready_at_once(self) -> None:
        gatherer = Gatherer()
        entry = done()
        assert gatherer.add(entry, now=0) == [entry]
        assert not gatherer.holds

    def test_inner_calls_wait_for_their_request(self) -> None:
        gatherer = Gatherer()
        inner, line, outer = done(id="2", parent="1"), said("x"), done(id="1")
        other = done(request_id="other")
        assert gatherer.add(inner, now=0) == []
        assert gatherer.add(line, now=0) == []
        assert gatherer.add(other, now=0) == [other]
        assert gatherer.add(outer, now=0) == [inner, line, outer]
        assert not gatherer.holds

    def test_a_slow_request_is_shown_as_it_goes(self) -> None:
        gatherer = Gatherer()
        first, second, outer = said("first"), said("second"), done(id="1")
        gatherer.add(first, now=0)
        assert gatherer.overdue(now=Gatherer.HOLD_SECONDS - 0.01) == []
        assert gatherer.overdue(now=Gatherer.HOLD_SECONDS) == [[first]]
        gatherer.add(second, now=10)
        assert gatherer.add(outer, now=10) == [second, outer]
