"""`pyconvex start` on PostgreSQL: several processes, of one parent or of several, are one deployment."""

import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from support.dev import pyconvex, wait_until
from support.postgres import fresh_database, server
from support.proxy import in_between
from support.start import Started, launched, start

MODULE = """\
import asyncio
import os
import pathlib

from pyconvex.server import Request, Response, http_router, mutation, query

if pathlib.Path("die").exists():
    os._exit(7)


@query
async def listed(ctx) -> list[str]:
    return [message["body"] for message in await ctx.db.query("messages").collect()]


@mutation
async def send(ctx, body: str) -> None:
    await ctx.db.insert("messages", {"body": body})
"""
HTTP = """\
import asyncio
import os

from pyconvex.server import Request, Response, http_router

http = http_router()


@http.route(path="/pid", method="GET")
async def pid(ctx, request: Request) -> Response:
    return Response(str(os.getpid()))


@http.route(path="/colour", method="GET")
async def colour(ctx, request: Request) -> Response:
    return Response(os.environ.get("COLOUR", "none"))


@http.route(path="/slow", method="GET")
async def slow(ctx, request: Request) -> Response:
    print("it runs")
    await asyncio.sleep(1)
    return Response("in the end")


default = http
"""
WORKERS = 3


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "chat"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/messages.py").write_text(MODULE)
    (folder / "convex/http.py").write_text(HTTP)
    return folder


@pytest.fixture
def database() -> Generator[str]:
    with fresh_database() as name:
        yield server().database_url(name)


def pids(running: Started, count: int = 40) -> Counter[int]:
    """Who answered that many requests, each on a connection of its own."""
    return Counter(int(running.fetch("GET", "/pid").text) for _ in range(count))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_workers(project: Path, database: str) -> None:
    with start(project, "--database", database, "--workers", str(WORKERS)) as running:
        running.until("loaded", WORKERS)
        answered = pids(running)
        assert len(answered) == WORKERS
        assert running.process.pid not in answered
        started = {event["pid"]: event["worker"] for event in running.events("starting")}
        assert set(started) == set(answered)
        assert sorted(started.values()) == [1, 2, 3]
        assert {event["entry"]["identifier"] for event in running.events("log")} <= {"GET /pid"}

        assert running.call("mutation", "messages:send", {"body": "hi"})["status"] == "success"
        wait_until(lambda: _all_see(running, ["hi"]), "every worker shows what one of them wrote")
        wait_until(lambda: {event["worker"] for event in running.events("log")} == {1, 2, 3}, "all of them log")

        victim = next(iter(answered))
        os.kill(victim, signal.SIGKILL)
        assert victim not in pids(running), "what the others answer does not fail"
        died = running.until("died")
        assert (died["pid"], died["worker"], died["code"]) == (victim, started[victim], -signal.SIGKILL)
        running.until("loaded", WORKERS + 1)
        replacement = running.events("starting")[-1]
        assert replacement["worker"] == started[victim]
        wait_until(lambda: replacement["pid"] in pids(running, 5), "the new one serves as well")
        assert pyconvex("run", "messages:listed", "--json", folder=project).exit_code == 0

        assert running.stop() == 0
        assert [event["code"] for event in running.events("stopped")] == [0] * (WORKERS + 1)
        assert not running.events("warnings")
    assert "Traceback" not in running.said
    assert not (project / ".pyconvex/server.json").exists()


def _all_see(running: Started, bodies: list[str]) -> bool:
    values = [running.call("query", "messages:listed").get("value") for _ in range(12)]
    return all(value == bodies for value in values)


def _shows(running: Started, bodies: list[str]) -> None:
    wait_until(lambda: running.call("query", "messages:listed")["value"] == bodies, f"it shows {bodies}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_request_in_flight_ends(project: Path, database: str, number: signal.Signals, code: int) -> None:
    with start(project, "--database", database, "--workers", "2") as running:
        running.until("loaded", 2)
        texts: list[str] = []
        asked = threading.Thread(target=lambda: texts.append(running.fetch("GET", "/slow").text))
        asked.start()
        running.until("log")
        assert running.stop(number) == code
        asked.join()
        assert texts == ["in the end"]
    assert "Traceback" not in running.said


def test_workers_end_with_their_parent(project: Path, database: str) -> None:
    with start(project, "--database", database, "--workers", "2") as running:
        running.until("loaded", 2)
        workers = list(pids(running))
        running.kill()
        wait_until(lambda: all(map(gone, workers)), "they are gone")


def test_workers_that_die_at_once_are_given_up(project: Path, database: str) -> None:
    with start(project, "--database", database, "--workers", "2") as running:
        running.until("loaded", 2)
        (project / "die").touch()
        for worker in pids(running):
            os.kill(worker, signal.SIGKILL)
        assert running.process.wait(60) == 1
        assert len(running.events("gave_up")) == 1
        assert {event["code"] for event in running.events("died")[2:]} == {7}


def test_what_cannot_be_loaded_is_said_once(project: Path, database: str) -> None:
    (project / "convex/messages.py").write_text("import nowhere\n")
    with launched(project, "--database", database, "--workers", "3") as running:
        assert running.process.wait(60) == 1
        assert running.said.count("convex/messages.py:1") == 1
        assert len(running.events("failed")) == 1
        assert len(running.events("starting")) == 1


def test_two_servers_on_one_database(project: Path, database: str) -> None:
    other = shutil.copytree(project, project.parent / "elsewhere")
    with start(project, "--database", database) as here:
        assert not here.events("warnings")
        with start(other, environment={"PYCONVEX_DATABASE": database}) as there:
            (problem,) = there.until("warnings")["problems"]
            assert problem["code"] == "FilesAreLocal"
            for number, (writes, reads) in enumerate([(here, there), (there, here)]):
                assert writes.call("mutation", "messages:send", {"body": f"{number}"})["status"] == "success"
                _shows(reads, [str(each) for each in range(number + 1)])
            keys = {(folder / ".pyconvex/admin_key").read_text() for folder in (project, other)}
            assert len(keys) == 1
            assert keys.pop().startswith("chat|")
            assert here.fetch("GET", "/health").json == there.fetch("GET", "/health").json
            assert pyconvex("env", "set", "COLOUR", "red", folder=project).exit_code == 0
            wait_until(lambda: there.fetch("GET", "/colour").text == "red", "variables are the deployment's")
    told = pyconvex("admin-key", folder=other, environment={"PYCONVEX_DATABASE": database}).stdout
    assert told == (project / ".pyconvex/admin_key").read_text()


def test_health_while_the_database_is_away(project: Path, database: str) -> None:
    with in_between(database) as (proxy, loop), start(project, "--database", proxy.url) as running:
        assert running.fetch("GET", "/health").status == 200
        proxy.refusing = True
        loop.call_soon_threadsafe(proxy.cut)
        wait_until(lambda: running.fetch("GET", "/health").status == 503, "it notices")
        reason = running.fetch("GET", "/health").json["reason"]
        assert reason in ("the database does not answer", "the database failed: DatabaseUnreachable")
        proxy.refusing = False
        wait_until(lambda: running.fetch("GET", "/health").status == 200, "it is back")
        messages = [event["text"] for event in running.events("message")]
        assert any("connected again" in text for text in messages), messages
