"""How errors of functions reach clients over HTTP: text, frames, data, redaction.

https://docs.convex.dev/functions/error-handling/
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pyconvex.settings import Limits
from support.served import Reply, Served, run, served

REQUEST_ID = "5b0f1d9c27ae4468"
NONE: Mapping[str, object] = {}

ERRORS = """\
import json
import os

from pyconvex.server import action, internal_mutation, mutation, query
from pyconvex.values import ConvexError, Int64, v

from ._generated.api import api, internal
from .shared import check


class MyFancyError(ConvexError):
    pass


class LooksLikeIt(Exception):
    data = {"not": "sent"}


@query
async def plain(ctx):
    print("before", 1)
    raise ValueError("no such channel")


@query
async def deeper(ctx):
    return check(None)


@query
async def in_a_library(ctx):
    return json.loads("{")


@query
async def with_data(ctx, form: str):
    data = {
        "none": None,
        "text": "FULL",
        "object": {"code": "NO_CHANNEL"},
        "values": {"big": Int64(7), "bytes": b"ab", "float": 1, "nan": float("nan")},
    }
    print("before")
    raise (MyFancyError if form == "object" else ConvexError)(data[form])


@query
async def lookalike(ctx):
    raise LooksLikeIt("no data")


@query
async def exits(ctx):
    raise SystemExit(3)


@query
async def surrogate(ctx):
    raise ValueError("half: " + chr(0xD800))


@query
async def long(ctx):
    raise ValueError("é" * 70_000)


@query
async def folder(ctx):
    raise ValueError(f"in {__file__}")


@query
async def typed(ctx, n: int) -> str:
    return n


@query
async def slow(ctx):
    while True:
        pass


@query
async def unfinished(ctx):
    return ctx.db.query("messages")


@query
async def socket_opened(ctx):
    import socket

    socket.create_connection(("127.0.0.1", 1))


@mutation
async def writes(ctx, data=None):
    await ctx.db.insert("messages", {})
    raise ConvexError(data)


@action
async def calls(ctx):
    await ctx.run_query(api.errors.plain)


@action
async def calls_with_data(ctx):
    await ctx.run_mutation(api.errors.writes, data={"deep": [1]})


@internal_mutation
async def hidden(ctx):
    raise ValueError("not for everybody")
"""
SHARED = """\
def check(value):
    return inner(value)


def inner(value):
    return value.missing
"""


def serving(tmp_path: Path, story: Callable[[Served], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with served(tmp_path, {"errors": ERRORS, "shared": SHARED}, **options) as server:
            await story(server)

    run(whole)


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(ERRORS.splitlines(), 1) if text in line)


async def failed(
    server: Served, name: str, args: Mapping[str, object] = NONE, endpoint: str = "query", **more: str
) -> Reply:
    call = {"path": f"errors:{name}", "args": dict(args), "format": "convex_encoded_json"}
    reply = await server.call(f"/api/{endpoint}", call, convex_request_id=REQUEST_ID, **more)
    assert (reply.status, reply.json["status"]) == (200, "error"), reply.text
    return reply


AT_PLAIN = f"    at plain (../convex/errors.py:{line_of('no such channel')})\n"


class Case(NamedTuple):
    """A call that fails, and how its error text begins behind the request id."""

    name: str
    text: str
    endpoint: str
    args: Mapping[str, object]


def case(name: str, *text: str, endpoint: str = "query", **args: object) -> Case:
    return Case(name, "".join(text), endpoint, args)


CASES = {
    "an exception": case("plain", "Uncaught ValueError: no such channel\n", AT_PLAIN),
    "frames of several files": case(
        "deeper",
        "Uncaught AttributeError: 'NoneType' object has no attribute 'missing'\n",
        "    at inner (../convex/shared.py:6)\n    at check (../convex/shared.py:2)\n",
        f"    at deeper (../convex/errors.py:{line_of('return check(None)')})\n",
    ),
    "raised by a library": case(
        "in_a_library",
        "Uncaught JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)\n",
        f"    at in_a_library (../convex/errors.py:{line_of('json.loads')})\n",
    ),
    "a class of one's own": case(
        "with_data",
        'Uncaught MyFancyError: {"code":"NO_CHANNEL"}\n',
        f"    at with_data (../convex/errors.py:{line_of('raise (MyFancyError')})\n",
        form="object",
    ),
    "an exit": case("exits", "Uncaught FunctionExited: The function ended with SystemExit (3)"),
    "half a character": case("surrogate", "Uncaught ValueError: half: ?\n"),
    "a file of this machine": case("folder", "Uncaught ValueError: in ../convex/errors.py\n"),
    "called by an action": case(
        "calls",
        "Uncaught ValueError: no such channel\n",
        AT_PLAIN,
        f"    at calls (../convex/errors.py:{line_of('run_query(api.errors.plain)')})\n",
        endpoint="action",
    ),
    "arguments": case(
        "typed",
        "ArgumentValidationError: Value does not match validator.\n",
        'Path: .n\nValue: "x"\nValidator: v.',
        n="x",
    ),
    "a missing argument": case("typed", "ArgumentValidationError: Object is missing the required field `n`."),
    "a result": case("typed", "ReturnsValidationError: Value does not match validator.\n", n=1),
    "a query that was not run": case("unfinished", "Return value is a Query. Results must be retrieved with"),
    "another kind": case(
        "plain", "Trying to execute errors.js:plain as Mutation, but it is defined as Query.", endpoint="mutation"
    ),
    "nothing of that name": case("plian", "Could not find public function for 'errors:plian'."),
    "what is not public": case("hidden", "Could not find public function for 'errors:hidden'.", endpoint="mutation"),
    "nothing, for tools": case("plian", "Could not find function for 'errors:plian'. Did you", endpoint="function"),
    "a socket": case("socket_opened", "Uncaught NotInQueriesOrMutations: Can't use sockets in queries and mutations."),
    "too slow": case("slow", "Function execution timed out (maximum duration: 0.2s)"),
}
FANCY = "a class of one's own"


@pytest.mark.parametrize("what", CASES)
def test_texts(tmp_path: Path, what: str) -> None:
    name, text, endpoint, args = CASES[what]

    async def story(server: Served) -> None:
        reply = await failed(server, name, args, endpoint)
        head, _, rest = reply.json["errorMessage"].partition("\n")
        assert head == f"[Request ID: {REQUEST_ID}] Server Error"
        assert rest.startswith(text), rest
        frames = re.findall(r"\n    at .*", rest)
        assert all(re.fullmatch(r"\n    at \w+ \(\.\./convex/\w+\.py:\d+\)", frame) for frame in frames)
        assert str(tmp_path) not in reply.text
        assert ("errorData" in reply.json) is (what == FANCY)

    serving(tmp_path, story, limits=Limits(query_seconds=0.2))


@pytest.mark.parametrize(
    ("form", "shape", "data"),
    [
        ("none", "convex_encoded_json", b"null"),
        ("text", "json", b'"FULL"'),
        ("object", "json", b'{"code":"NO_CHANNEL"}'),
        (
            "values",
            "convex_encoded_json",
            b'{"big":{"$integer":"BwAAAAAAAAA="},"bytes":{"$bytes":"YWI="},"float":1.0,"nan":{"$float":"AAAAAAAA+H8="}}',
        ),
        ("values", "json", b'{"big":"7","bytes":"YWI=","float":1.0,"nan":"NaN"}'),
        ("values", "export_json", b'{"big":7,"bytes":{"$bytes":"YWI="},"float":1.0,"nan":{"$float":"AAAAAAAA+H8="}}'),
    ],
)
@pytest.mark.parametrize("redact", [False, True])
def test_data_is_sent_in_the_format_of_results(
    tmp_path: Path, form: str, shape: str, data: bytes, redact: bool
) -> None:
    async def story(server: Served) -> None:
        call = {"path": "errors:with_data", "args": {"form": form}, "format": shape}
        reply = await server.call("/api/query", call)
        assert b'"errorData":' + data in reply.body
        assert ("logLines" in reply.json) is not redact

    serving(tmp_path, story, redact=redact)


def test_what_only_looks_like_a_convex_error_carries_no_data(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert set((await failed(server, "lookalike")).json) == {"status", "errorMessage"}

    serving(tmp_path, story)


def test_data_survives_the_action_between(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        reply = await failed(server, "calls_with_data", endpoint="action")
        assert reply.json["errorData"] == {"deep": [1.0]}

    serving(tmp_path, story)


def test_log_lines_come_with_errors(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        assert (await failed(server, "plain")).json["logLines"] == ["[LOG] 'before' 1"]

    serving(tmp_path, story)


def test_texts_are_cut_at_a_character(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        text = (await failed(server, "long")).json["errorMessage"]
        assert 65_000 < len(text.encode()) <= 65_536
        assert text.endswith("é")

    serving(tmp_path, story)


@pytest.mark.parametrize("what", [what for what in CASES if what != FANCY])
def test_production_keeps_texts_to_itself(tmp_path: Path, what: str) -> None:
    name, _, endpoint, args = CASES[what]

    async def story(server: Served) -> None:
        for headers in ({}, server.admin):
            if name == "hidden" and headers:
                continue  # an admin finds it
            reply = await failed(server, name, args, endpoint, **headers)
            assert reply.json == {
                "status": "error",
                "errorMessage": f"[Request ID: {REQUEST_ID}] Server Error",
            }

    serving(tmp_path, story, redact=True, limits=Limits(query_seconds=0.2))


def test_the_log_keeps_what_production_withholds(tmp_path: Path) -> None:
    async def story(server: Served) -> None:
        await failed(server, "plain")
        entry = server.completions[-1]
        assert entry.request_id == REQUEST_ID
        assert entry.error is not None
        assert "no such channel" in entry.error
        assert AT_PLAIN.strip() in entry.error

    serving(tmp_path, story, redact=True)
