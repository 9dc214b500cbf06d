"""`pyconvex start`: one process in production."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pyconvex import __version__
from support.dev import BIN, Reply, environment_of, pyconvex, wait_until
from support.ports import free_port
from support.start import Started, launched, start

MESSAGES = """\
import logging

from pyconvex.server import mutation, query
from pyconvex.values import ConvexError

print("loading")


@query
async def listed(ctx) -> list[str]:
    print("reading")
    return [message["body"] for message in await ctx.db.query("messages").collect()]


@mutation
async def send(ctx, body: str) -> None:
    await ctx.db.insert("messages", {"body": body})


@query
async def broken(ctx) -> None:
    raise ValueError("the inside story")


@query
async def refused(ctx) -> None:
    raise ConvexError({"why": "because"})
"""
HTTP = """\
import asyncio
import time

from pyconvex.server import URL, Request, Response, http_router

http = http_router()


@http.route(path="/hello", method="GET")
async def hello(ctx, request: Request) -> Response:
    return Response("hello")


@http.route(path="/broken", method="GET")
async def broken(ctx, request: Request) -> Response:
    raise ValueError("the inside story")


@http.route(path="/slow", method="GET")
async def slow(ctx, request: Request) -> Response:
    print("it runs")
    await asyncio.sleep(float(URL(request.url).search_params.get("seconds")))
    return Response("in the end")


@http.route(path="/prints", method="GET")
async def prints(ctx, request: Request) -> Response:
    for _ in range(250):
        print("x" * 30_000)
    return Response("printed")


default = http
"""
JOBS = """\
import asyncio

from pyconvex.server import internal_action, internal_mutation, mutation, query
from ._generated.api import internal


@mutation
async def begin(ctx) -> None:
    await ctx.scheduler.run_after(0, internal.jobs.work)


@internal_action
async def work(ctx) -> None:
    print("it runs")
    await asyncio.sleep(1)
    await ctx.run_mutation(internal.jobs.note)


@internal_mutation
async def note(ctx) -> None:
    await ctx.db.insert("done", {})


@query
async def done(ctx) -> int:
    return len(await ctx.db.query("done").collect())
"""
SERVER_ERROR = "[Request ID: {}] Server Error"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "chat"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/messages.py").write_text(MESSAGES)
    (folder / "convex/http.py").write_text(HTTP)
    return folder


class Asked(threading.Thread):
    """A request whose answer is awaited elsewhere."""

    def __init__(self, running: Started, path: str) -> None:
        super().__init__(daemon=True)
        self._running, self._path = running, path
        self.reply: Reply | None = None
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.reply = self._running.fetch("GET", self._path)


def asked_slowly(running: Started, seconds: float) -> Asked:
    asked = Asked(running, f"/slow?seconds={seconds}")
    running.until("log")
    return asked


# --- serving


def test_it_serves_and_reports_as_json(project: Path) -> None:
    with start(project) as running:
        assert running.fetch("GET", "/hello").text == "hello"
        assert running.call("mutation", "messages:send", {"body": "hi"})["status"] == "success"
        assert running.call("query", "messages:listed") == {"status": "success", "value": ["hi"]}
        starting = running.until("starting")
        assert starting["version"] == __version__
        assert (starting["project"], starting["pid"]) == ("chat", running.process.pid)
        assert starting["url"] == f"http://127.0.0.1:{running.port}"
        assert starting["siteUrl"] == f"http://127.0.0.1:{running.site_port}"
        loaded = running.until("loaded")
        assert (loaded["functions"], loaded["routes"]) == (4, 4)
        entry = running.until("log", 3)["entry"]
        assert entry["kind"] == "Completion"
        assert (entry["udfType"], entry["identifier"]) == ("Query", "messages:listed")
        assert [line["messages"] for line in entry["logLines"]] == [["'reading'"]]
        assert running.stop() == 0
    assert [event["code"] for event in running.events("stopped")] == [0]
    assert running.said == "loading\n", "what modules print is no JSON"


def test_clients_may_reach_it_elsewhere(project: Path) -> None:
    (project / "convex/urls.py").write_text(
        "import os\nfrom pyconvex.server import query\n\n\n@query\nasync def both(ctx) -> list[str]:\n"
        '    return [os.environ["CONVEX_CLOUD_URL"], os.environ["CONVEX_SITE_URL"]]\n'
    )
    elsewhere = {"PYCONVEX_SITE_URL": "https://chat.example.com/"}
    with start(project, "--cloud-url", "https://api.example.com", environment=elsewhere) as running:
        assert running.call("query", "urls:both")["value"] == ["https://api.example.com", "https://chat.example.com"]
        assert pyconvex("run", "urls:both", folder=project).exit_code == 0, "tools reach it where it listens"


def test_it_leaves_the_project_alone(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with start(project) as running:
        (project / "convex/messages.py").write_text("a save")
        assert running.fetch("GET", "/hello").text == "hello"
        assert running.call("query", "messages:listed")["status"] == "success"
        assert (project / ".pyconvex/server.json").exists()
    assert not (project / ".pyconvex/server.json").exists()
    (project / "convex/messages.py").write_text(MESSAGES)
    after = {path for path in project.rglob("*") if path.is_file() and ".pyconvex" not in path.parts}
    assert after == {*before, running.output, running.lines}


def test_errors_are_redacted_for_clients_and_whole_in_the_log(project: Path) -> None:
    with start(project) as running:
        broken = running.fetch("GET", "/broken")
        first = running.until("log")["entry"]
        assert (broken.status, broken.json) == (500, {"code": SERVER_ERROR.format(first["requestId"])})
        answer = running.call("query", "messages:broken")
        second = running.until("log", 2)["entry"]
        assert answer == {"status": "error", "errorMessage": SERVER_ERROR.format(second["requestId"])}
        assert "the inside story" in first["error"]
        assert "the inside story" in second["error"]
        refused = running.call("query", "messages:refused")
        number = running.until("log", 3)["entry"]["requestId"]
        assert refused == {
            "status": "error",
            "errorMessage": SERVER_ERROR.format(number),
            "errorData": {"why": "because"},
        }
        ran = pyconvex("run", "messages:broken", folder=project)
        number = running.until("log", 4)["entry"]["requestId"]
        assert ran.exit_code == 1
        assert ran.stderr == (
            "error: messages:broken failed\n"
            f"hint: production keeps errors to its log: pyconvex logs --request-id {number}\n"
        )


def test_a_reader_that_has_gone_or_is_slow_does_not_matter(project: Path) -> None:
    for goes in (True, False):
        port, site_port = free_port(), free_port()
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [BIN / "pyconvex", "start", "--port", str(port), "--site-port", str(site_port)],
            cwd=project,
            env=environment_of(None),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        running = Started(project, port, site_port, process, project / "none", project / "none")
        try:
            if goes:
                os.close(reading)
            wait_until(running.answers, "it answers")
            for _ in range(5):  # more than what may wait, and much more than a pipe holds
                assert running.fetch("GET", "/prints").text == "printed"
            assert running.stop() == 0
            if not goes:
                assert os.read(reading, 100).startswith(b'{"type":"starting"')
                os.close(reading)
        finally:
            running.kill()


# --- /health


def test_health(project: Path) -> None:
    with start(project) as running:
        for port in (running.port, running.site_port):
            reply = running.fetch("GET", "/health", port=port)
            assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
            assert reply.json == {"status": "ok", "version": __version__, "deployment": "chat"}
            assert running.fetch("HEAD", "/health", port=port).status == 200
        assert running.fetch("POST", "/health", port=running.port).status == 405
        assert running.fetch("POST", "/health").status == 404


def test_a_route_of_that_name_comes_first_on_the_site_address(project: Path) -> None:
    (project / "convex/http.py").write_text(HTTP.replace('"/hello"', '"/health"'))
    with start(project) as running:
        assert running.fetch("GET", "/health").text == "hello"
        assert running.fetch("GET", "/http/health", port=running.port).text == "hello"
        assert running.fetch("GET", "/health", port=running.port).json["status"] == "ok"


def test_nothing_is_served_while_it_starts(project: Path) -> None:
    gate = project / "gate"
    module = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)\n"
    (project / "convex/gate.py").write_text(module)
    with launched(project, "--limit", "load_seconds=30") as running:
        wait_until(lambda: _status(running, running.port) == 503, "it listens")
        assert running.fetch("GET", "/health", port=running.port).json["reason"] == "starting"
        assert running.fetch("GET", "/health").json["reason"] == "starting"
        reply = running.fetch("GET", "/hello")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert reply.json == {"code": "ServiceUnavailable", "message": "This deployment is starting"}
        gate.touch()
        running.until("loaded")
        assert running.fetch("GET", "/hello").text == "hello"
        assert _status(running, running.port) == 200


def _status(running: Started, port: int) -> int | None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return running.fetch("GET", "/health", port=port).status
    return None


# --- its end


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_request_in_flight_ends(project: Path, number: signal.Signals, code: int) -> None:
    with start(project) as running:
        asked = asked_slowly(running, 1.0)
        assert running.stop(number) == code
        asked.join()
        assert asked.reply is not None
        assert (asked.reply.status, asked.reply.text) == (200, "in the end")
        assert asked.reply.headers["connection"] == "close"
        assert [event["reason"] for event in running.events("stopping")] == [number.name]
    assert "Traceback" not in running.said


def test_a_job_in_progress_ends(project: Path) -> None:
    (project / "convex/jobs.py").write_text(JOBS)
    with start(project) as running:
        running.call("mutation", "jobs:begin")
        wait_until(lambda: "it runs" in running.lines.read_text(), "the job runs")
        assert running.stop() == 0
        entries = [event["entry"] for event in running.events("log")]
        (job,) = [entry for entry in entries if (entry["kind"], entry["identifier"]) == ("Completion", "jobs:work")]
        assert job["error"] is None
    with start(project) as running:
        assert running.call("query", "jobs:done")["value"] == 1


def test_it_can_be_stopped_while_it_starts(project: Path) -> None:
    (project / "convex/messages.py").write_text("import time\n\nprint('loading')\ntime.sleep(300)\n")
    with launched(project, "--limit", "load_seconds=300") as running:
        wait_until(lambda: "loading" in running.said, "it loads")
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5
        assert not running.events("loaded")
    assert "Traceback" not in running.said


def test_requests_have_so_long_and_no_longer(project: Path) -> None:
    with start(project, "--shutdown-seconds", "0.3") as running:
        asked = asked_slowly(running, 60)
        began = time.monotonic()
        assert running.stop() == 0
        assert 0.3 < time.monotonic() - began < 5
        asked.join()
        assert asked.reply is None or asked.reply.status == 500
    assert "Traceback" not in running.said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_it_at_once(project: Path, number: signal.Signals, code: int) -> None:
    with start(project, "--shutdown-seconds", "60") as running:
        asked_slowly(running, 60)
        running.process.send_signal(signal.SIGTERM)
        running.until("stopping")
        began = time.monotonic()
        assert running.stop(number) == code
        assert time.monotonic() - began < 5
    assert "Traceback" not in running.said


def test_load_balancers_are_told_before_it_stops(project: Path) -> None:
    with start(project, environment={"PYCONVEX_DRAIN_SECONDS": "1"}) as running:
        running.process.terminate()
        running.until("stopping")
        reply = running.fetch("GET", "/health", port=running.port)
        assert (reply.status, reply.json["reason"]) == (503, "shutting down")
        assert running.fetch("GET", "/hello").text == "hello"
        assert running.process.wait(10) == 0


# --- what it refuses


def test_a_busy_port_is_not_replaced_by_another(project: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        for flags in (["--port", str(port)], ["--port", "0", "--site-port", str(port)]):
            ran = pyconvex("start", *flags, folder=project)
            assert ran.exit_code == 3
            assert f"error: port {port} is in use by " in ran.stderr
            assert f"(pid {os.getpid()})" in ran.stderr
            assert [problem["code"] for problem in failure(ran.stdout)] == ["PortInUse"]


def test_the_remembered_ports_of_dev_are_not_its_own(project: Path) -> None:
    (project / ".pyconvex").mkdir()
    remembered = project / ".pyconvex/ports.json"
    remembered.write_text('{"api": 1, "site": 2}')
    with start(project) as running:
        assert running.fetch("GET", "/hello").text == "hello"
    assert remembered.read_text() == '{"api": 1, "site": 2}'


def test_functions_that_cannot_be_loaded(project: Path) -> None:
    (project / "convex/messages.py").write_text("import nowhere\n")
    (project / "convex/other.py").write_text("def (\n")
    ran = pyconvex("start", "--port", "0", folder=project)
    assert ran.exit_code == 1
    assert "convex/messages.py:1" in ran.stderr
    assert "convex/other.py:1" in ran.stderr
    assert len(failure(ran.stdout)) == 2
    assert "Traceback" not in ran.stderr


def test_documents_that_do_not_match_the_schema(project: Path) -> None:
    with start(project) as running:
        running.call("mutation", "messages:send", {"body": "hi"})
    (project / "convex/schema.py").write_text(
        "from pyconvex.server import define_schema, define_table\n"
        "from pyconvex.values import v\n"
        'default = define_schema({"messages": define_table({"body": v.int64()})})\n'
    )
    ran = pyconvex("start", "--port", "0", folder=project)
    assert ran.exit_code == 1
    assert "does not match the schema" in ran.stderr
    assert [problem["code"] for problem in failure(ran.stdout)] == ["SchemaViolation"]


def test_several_workers_need_a_shared_database(project: Path) -> None:
    ran = pyconvex("start", "--workers", "2", folder=project)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == (
        "error: --workers is 2, but only one process can serve a SQLite database\n"
        "hint: keep the documents in PostgreSQL: --database postgresql://USER:PASSWORD@HOST/DATABASE\n"
    )


@pytest.mark.parametrize(
    "flags", [["--workers", "0"], ["--workers", "x"], ["--shutdown-seconds", "-1"], ["--site-url", "x/y"]]
)
def test_settings_that_make_no_sense(project: Path, flags: list[str]) -> None:
    ran = pyconvex("start", *flags, folder=project)
    assert ran.exit_code == 2
    assert ran.stderr.startswith(f"error: {flags[0]} is '{flags[1]}', but it must be ")


def failure(output: str) -> list[dict[str, Any]]:
    """The problems of the only `failed` event."""
    events = [json.loads(line) for line in output.splitlines()]
    (failed,) = [event for event in events if event["type"] == "failed"]
    return failed["problems"]
