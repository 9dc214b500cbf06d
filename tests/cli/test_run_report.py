"""`pyconvex run --report`: what a function read and wrote, for people and for programs."""

import json
import re
from pathlib import Path

import pytest

from pyconvex_cli.access_report import report_lines
from pyconvex_cli.console import Terminal
from support.command import command

MESSAGES = """\
import os
import time

from pyconvex.server import action, mutation, query
from ._generated.api import api


@mutation
async def send(ctx, body: str):
    return await ctx.db.insert("messages", {"body": body})


@query
async def newest(ctx, fail: bool = False):
    time.time()
    os.environ.get("ORIGIN")
    found = await ctx.db.query("messages").order("desc").take(1)
    if fail:
        raise ValueError("no")
    return len(found)


@action
async def both(ctx):
    await ctx.run_mutation(api.messages.send, body="b")
    return await ctx.run_query(api.messages.newest)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/messages.py").write_text(MESSAGES)
    assert command("run", "messages:send", '{"body": "a"}', folder=folder).exit_code == 0
    return folder


def test_a_report_for_people(project: Path) -> None:
    ran = command("run", "messages:newest", "--report", folder=project)
    assert ran.exit_code == 0
    assert ran.stdout == "1.0\n"
    shown = re.sub(r"≥ [\d.]+", "≥ TIME", re.sub(r"user code .*", "user code", ran.stderr))
    lines = [re.sub(r" {2,}", "  ", line).strip() for line in shown.splitlines()]
    assert lines == [
        "messages:newest query",
        "",
        "Read  Range  Documents  Bytes  Times",
        "messages.by_creation_time  _creationTime ≥ TIME  1  71  1",
        "",
        "Limit  Used  Of  Share",
        "documents read  1  32,000  0.0%",
        "bytes read  71 bytes  16 MiB  0.0%",
        "ranges read  1  4,096  0.0%",
        "documents written  0  16,000  0.0%",
        "bytes written  0 bytes  16 MiB  0.0%",
        "user code",
        "",
        "also read environment variables ORIGIN",
        "also read the time",
        "",
    ]


def test_reports_of_what_an_action_ran(project: Path) -> None:
    ran = command("run", "messages:both", "--report", folder=project)
    assert ran.exit_code == 0
    heads = [line for line in ran.stderr.splitlines() if line.startswith("messages:")]
    assert heads == ["messages:both action", "messages:send mutation", "messages:newest query"]
    assert re.search(r"insert messages +j57\w+ +71\n", ran.stderr)


def test_a_failed_function_is_reported_too(project: Path) -> None:
    ran = command("run", "messages:newest", '{"fail": true}', "--report", folder=project)
    assert ran.exit_code == 1
    assert "messages.by_creation_time" in ran.stderr
    assert "error: messages:newest failed: ValueError: no" in ran.stderr


def test_answers_for_programs(project: Path) -> None:
    ran = command("run", "messages:newest", "--report", "--json", folder=project)
    answer = json.loads(ran.stdout)
    assert (ran.exit_code, answer["status"], answer["value"]) == (0, "success", 1.0)
    [read] = answer["report"]["reads"]
    assert (read["table"], read["index"], read["documents"]) == ("messages", "by_creation_time", 1)
    assert read["lower"]["fields"] == ["_creationTime", "_id"]
    failed = command("run", "messages:newest", '{"fail": true}', "--json", folder=project)
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["status"] == "error"
    assert "report" not in json.loads(failed.stdout)


def test_what_a_document_contains_commands_no_terminal() -> None:
    read = {"table": "t", "index": "i", "range": 'a = "\x1b[2J"', "documents": 0, "bytes": 0, "times": 2}
    report = {
        "function": "m:f", "kind": "query", "reads": [read], "writes": [], "limits": [], "environmentVariables": [],
        "timeRead": False, "retries": 2, "calls": [],
    }  # fmt: skip
    lines = report_lines(report, Terminal(colour=False, width=80))
    assert lines[0] == "m:f query, run again 2 times"
    assert not any("\x1b" in line for line in lines)
