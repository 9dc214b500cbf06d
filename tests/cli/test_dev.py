"""`pyconvex dev` as people run it: in a process, in a project, with a keyboard."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pyconvex import __version__
from support.command import command
from support.dev import BIN, Dev, dev, wait_until
from support.ports import free_port

MESSAGES = """\
from ._generated.server import ActionCtx, QueryCtx, http_action, query
from pyconvex.server import Request, Response


@query
async def greet(ctx: QueryCtx, name: str) -> str:
    return f"hello {name}"


@http_action
async def hello(ctx: ActionCtx, request: Request) -> Response:
    from ._generated.api import api
    print("greeting", 1)
    return Response(await ctx.run_query(api.messages.greet, name="you"))


@http_action
async def fail(ctx: ActionCtx, request: Request) -> Response:
    raise ValueError("on purpose")
"""
HTTP = """\
from pyconvex.server import http_router
from .messages import fail, hello

http = http_router()
http.route(path="/hello", method="GET", handler=hello)
http.route(path="/fail", method="GET", handler=fail)
default = http
"""
TABLES = """\
  Function         Kind     Arguments        Where
  messages:greet   query    name: string     messages.py:6

  Route            Method   Handler          Where
  /fail            GET      messages:fail    http.py:6
  /hello           GET      messages:hello   http.py:5
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "chat"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/messages.py").write_text(MESSAGES)
    (folder / "convex/http.py").write_text(HTTP)
    return folder


def save(project: Path, name: str, old: str, new: str) -> None:
    path = project / "convex" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def says(running: Dev, text: str) -> None:
    wait_until(lambda: text in running.said, f"{text!r} in:\n{running.said}")


def without_times(text: str) -> str:
    return re.sub(r"(ready|reloaded) in [^·]+ ·", r"\1 in T ·", re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", text))


def test_once(project: Path) -> None:
    ran = command("dev", "--once", folder=project)
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert without_times(ran.stderr) == (
        f"  pyconvex {__version__} · chat · data in .pyconvex/\n\n{TABLES}\n"
        "  ✔ HH:MM:SS ready in T · 1 function · 2 routes\n\n"
    )
    assert (project / "convex/_generated/api.pyi").exists()
    assert not (project / ".env.local").exists(), "nothing is served, so there is no address to tell"


def test_once_with_a_problem(project: Path) -> None:
    save(project, "http.py", "default = http\n", "")
    ran = command("dev", "--once", folder=project)
    assert (ran.exit_code, ran.stdout) == (1, "")
    said = without_times(ran.stderr)
    assert "  ✖ HH:MM:SS not loaded\n  error[" in said
    assert "\n     convex/http.py:" in said
    assert said.endswith("\n  Nothing is served until this is fixed.\n\n")


def test_once_can_run_a_function(project: Path) -> None:
    ran = command("dev", "--once", "--run", "messages:nothing", folder=project)
    assert ran.exit_code == 1
    assert "error: messages:nothing failed: " in ran.stderr


def test_serving_and_reloading(project: Path) -> None:
    with dev(project) as running:
        says(running, "ready in")
        assert running.fetch("GET", "/hello").text == "hello you"
        assert running.fetch("GET", "/hello", port=running.port).text == "hello you"
        assert running.fetch("GET", "/helo").status == 404
        assert running.fetch("GET", "/fail").status == 500
        says(running, "ValueError: on purpose")

        save(project, "messages.py", 'f"hello {name}"', 'f"good day {name}"')
        says(running, "reloaded in")
        assert running.fetch("GET", "/hello").text == "good day you"

        save(project, "messages.py", "@query\n", "@query(\n")
        says(running, "Still serving the version of")
        assert running.fetch("GET", "/hello").text == "good day you"

        save(project, "messages.py", "@query(\n", "@query\n")
        wait_until(lambda: running.said.count("✔") >= 3, "the fix is served")
        save(project, "http.py", 'http.route(path="/fail", method="GET", handler=fail)\n', "")
        says(running, "− GET /fail")
        assert running.fetch("GET", "/fail").status == 404
        assert running.interrupt() == 130

    said = without_times(running.said)
    assert said.startswith(
        f"  pyconvex {__version__} · chat · data in .pyconvex/\n"
        f"  ➜ API        http://127.0.0.1:{running.port}\n"
        f"  ➜ Site       http://127.0.0.1:{running.site_port}   (HTTP actions; also on the API address)\n"
        f"\n{TABLES}\n"
        "  ✔ HH:MM:SS ready in T · 1 function · 2 routes\n\n"
    )
    rows = re.sub(r" +[\d.]+ ms", " T", said)
    assert "  HH:MM:SS  HTTP         GET /hello          200 T\n" in rows
    assert "  HH:MM:SS               │ greeting 1\n" in rows
    assert "  HH:MM:SS    query      messages:greet      ok T\n" in rows
    assert "GET /helo           404 T   no route; nearest is GET /hello (http.py:5)\n" in rows
    assert (
        "                         │ ValueError: on purpose\n"
        "                         │   at fail (convex/messages.py:19)\n"
        "                         │    18 │ async def fail(ctx: ActionCtx, request: Request) -> Response:\n"
        '                         │    19 │     raise ValueError("on purpose")\n'
    ) in rows
    assert "  ✔ HH:MM:SS reloaded in T · convex/messages.py · ~ messages:greet\n" in said
    assert (
        "  ✖ HH:MM:SS not reloaded · convex/messages.py\n"
        "  error[SyntaxError]: '(' was never closed\n"
        "     convex/messages.py:5:7\n"
        "     4 │\n"
        "     5 │ @query(\n"
        "       │       ^\n"
        "     6 │ async def greet(ctx: QueryCtx, name: str) -> str:\n"
    ) in said
    assert "Traceback" not in said
    assert not (project / ".pyconvex/server.json").exists()


def test_requests_before_anything_is_shown_are_shown_too(project: Path) -> None:
    with dev(project) as running:
        running.fetch("GET", "/hello")  # as soon as the port answers
        says(running, "greeting 1")
        assert running.said.index("ready in") < running.said.index("GET /hello  ")


def test_a_bad_start_is_mended_by_a_save(project: Path) -> None:
    save(project, "http.py", "default = http\n", "")
    with dev(project) as running:
        says(running, "Nothing is served until this is fixed.")
        with (project / "convex/http.py").open("a") as http:
            http.write("default = http\n")
        says(running, "reloaded in")
        assert running.fetch("GET", "/hello").text == "hello you"


def test_json_is_one_event_a_line(project: Path) -> None:
    with dev(project, "--json") as running:
        wait_until(lambda: [each for each in _events(running) if each["type"] == "ready"], "the event `ready`")
        running.fetch("GET", "/hello")
        save(project, "messages.py", "hello {name}", "hi {name}")
        wait_until(lambda: [each for each in _events(running) if each["type"] == "reloaded"], "the event `reloaded`")
        save(project, "messages.py", "@query\n", "@query(\n")
        wait_until(lambda: [each for each in _events(running) if each["type"] == "failed"], "the event `failed`")
        assert running.interrupt() == 130
    events = _events(running)
    types = [each["type"] for each in events if each["type"] != "log"]
    assert types == ["opened", "ready", "reloaded", "failed", "stopped"]
    assert all(isinstance(each["ts"], float) for each in events)
    by_type = {each["type"]: each for each in events}
    assert by_type["opened"]["url"] == f"http://127.0.0.1:{running.port}"
    assert by_type["ready"]["routes"][0]["path"] == "/fail"
    assert by_type["reloaded"]["functions"]["changed"] == ["messages:greet"]
    assert by_type["failed"]["problems"][0]["place"] == "convex/messages.py:5:7"
    assert by_type["failed"]["problems"][0]["code"] == "SyntaxError"
    logged = [each["entry"]["identifier"] for each in events if each["type"] == "log"]
    assert {"messages:greet", "GET /hello"} <= set(logged)


def _events(running: Dev) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.said.splitlines(keepends=True) if line.endswith("\n")]


def test_env_local_and_gitignore_are_kept_current(project: Path) -> None:
    (project / ".git").mkdir()
    (project / "package.json").write_text('{"devDependencies": {"vite": "7"}}')
    (project / ".env.local").write_text("SECRET=1\nCONVEX_URL=http://elsewhere\n")
    with dev(project) as running:
        address = f"http://127.0.0.1:{running.port}"
        site = f"http://127.0.0.1:{running.site_port}"
        env_local = project / ".env.local"
        wait_until(lambda: "VITE_" in env_local.read_text(), ".env.local is written")
        assert env_local.read_text().splitlines() == [
            "SECRET=1",
            f"CONVEX_URL={address}",
            "",
            "# Written by `pyconvex dev`: where this project's deployment answers.",
            f"CONVEX_SITE_URL={site}",
            f"VITE_CONVEX_URL={address}",
            f"VITE_CONVEX_SITE_URL={site}",
        ]
        wait_until(lambda: "ready" in running.said, "it is ready")
        ignored = project / ".gitignore"
        wait_until(lambda: ignored.exists() and ".pyconvex/" in ignored.read_text(), ".gitignore is written")
        assert ignored.read_text() == ".env.local\n.pyconvex/\n"
        env_local.write_text("SECRET=2\n")
        wait_until(lambda: address in env_local.read_text(), "our lines are put back")
        assert env_local.read_text().startswith("SECRET=2\n")


def test_in_memory_nothing_is_left_behind(project: Path) -> None:
    with dev(project, "--ephemeral", "--no-codegen") as running:
        says(running, "data in memory")
        assert running.fetch("GET", "/hello").text == "hello you"
        running.interrupt()
    assert sorted(path.name for path in project.iterdir()) == ["convex", "dev-output.txt"]
    assert {path.name for path in (project / "convex").iterdir()} == {"http.py", "messages.py"}


def test_a_second_process_says_who_was_first(project: Path) -> None:
    with dev(project) as running:
        ran = command("dev", folder=project)
        assert (ran.exit_code, ran.stdout) == (3, "")
        assert ran.stderr == (
            f"error: this deployment is already served by process {running.process.pid} at http://127.0.0.1:{running.port}\n"
            f"hint: use the one that runs, or stop it: kill {running.process.pid}\n"
        )


def test_a_busy_port_names_its_holder(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "convex").mkdir(parents=True)
    with dev(project) as running:
        ran = command("dev", "--port", str(running.port), folder=other)
        assert (ran.exit_code, ran.stdout) == (3, "")
        assert ran.stderr.startswith(f"error: port {running.port} is in use")
        assert f"pid {running.process.pid}" in ran.stderr or sys.platform != "linux"
        assert not (other / ".pyconvex/server.json").exists()


def test_two_addresses_need_two_ports(project: Path) -> None:
    ran = command("dev", "--port", "4000", "--site-port", "4000", folder=project)
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert ran.stderr == (
        "error: the API and the site cannot both have port 4000\n"
        "hint: leave --site-port out: what it serves is served on the API's port too\n"
    )


def test_commands_ask_the_running_server(project: Path) -> None:
    with dev(project) as running:
        says(running, "ready in")
        (project / "convex/http.py").unlink()
        says(running, "− GET /hello")
        assert command("routes", folder=project).stderr.startswith("0 routes")
        assert command("env", "set", "A", "1", folder=project).exit_code == 0
        assert command("env", "get", "A", folder=project).stdout == "1\n"
        ran = command("run", "messages:greet", '{"name": "Ada"}', folder=project)
        assert json.loads(ran.stdout) == "hello Ada"
        spec = json.loads(command("functions", "--json", folder=project).stdout)
        assert spec["url"] == f"http://127.0.0.1:{running.port}"
        ran = command("logs", "--no-follow", "--json", folder=project)
        assert "messages:greet" in [json.loads(line)["identifier"] for line in ran.stdout.splitlines()]

        key = command("admin-key", folder=project).stdout.strip()
        elsewhere = project.parent
        remote = ("--url", f"http://127.0.0.1:{running.port}", "--admin-key")
        assert command("env", "get", "A", *remote, key, folder=elsewhere).stdout == "1\n"
        refused = command("env", "get", "A", *remote, "wrong|key", folder=elsewhere)
        assert refused.exit_code == 1
        assert refused.stderr.startswith("error: The provided admin key was invalid")


def test_logs_follow_and_survive_a_restart(project: Path) -> None:
    output = project.parent / "logs.txt"
    with dev(project) as first:
        says(first, "ready in")
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [BIN / "pyconvex", "logs", "-n", "0", "--function", "/hello"],
                cwd=project, stdout=stream, stderr=stream, env={**os.environ, "NO_COLOR": "1"},
            )  # fmt: skip
        with _ended(process):
            wait_until(lambda: "watching the log of" in output.read_text(), "it watches")
            first.fetch("GET", "/fail")
            first.fetch("GET", "/hello")
            wait_until(lambda: "GET /hello" in output.read_text(), "the first request")
            first.interrupt()
            wait_until(lambda: "waiting for it to come back" in output.read_text(), "it noticed")
            with dev(project) as second:
                second.fetch("GET", "/hello")
                wait_until(lambda: output.read_text().count("GET /hello") == 2, "the request after the restart")
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
    assert "/fail" not in output.read_text()
    assert "Traceback" not in output.read_text()


@contextlib.contextmanager
def _ended(process: "subprocess.Popen[bytes]") -> Generator[None, None, None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_ctrl_c_ends_at_once_with_connections_open(project: Path) -> None:
    import socket

    with dev(project) as running:
        says(running, "ready in")
        with socket.create_connection(("127.0.0.1", running.port)) as idle:
            idle.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(100).startswith(b"HTTP/1.1 200")
            said = running.said
            begun = time.monotonic()
            assert running.interrupt() == 130
            assert time.monotonic() - begun < 3  # a third of a second where the machine has nothing else to do
        assert running.said == said, "Ctrl-C is silent"


def test_a_line_that_blocks_everybody_is_named(project: Path) -> None:
    save(project, "messages.py", 'raise ValueError("on purpose")', "import time; time.sleep(0.4); return Response()")
    with dev(project) as running:
        says(running, "ready in")
        wait_until(lambda: (project / ".env.local").exists(), "the watchdog watches")
        wait_until(lambda: running.fetch("GET", "/fail").status == 200 and "[Blocked]" in running.said, "the warning")
    assert re.search(
        r"  warning\[Blocked\]: `time\.sleep` blocks every other request \(\d+ ms so far\)\n"
        r"     convex/messages\.py:19\n"
        r"  hint: await an async library instead, or `asyncio\.to_thread\(\.\.\.\)`\n",
        running.said,
    )


def test_files_outside_the_folder_offer_a_restart(project: Path) -> None:
    (project / "helpers.py").write_text("WORD = 'one'\n")
    with (project / "convex/messages.py").open("a") as messages:
        messages.write("from helpers import WORD\n")
    with dev(project) as running:
        says(running, "ready in")
        wait_until(lambda: (project / ".env.local").exists(), "it watches")
        (project / "helpers.py").write_text("WORD = 'two'\n")
        says(running, "✎ helpers.py which the functions import, is only loaded at the start: restart to apply it")
        (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        (project / "pyproject.toml").write_text("[tool.pyconvex.limits]\naction_seconds = 7\n")
        says(running, "✎ pyproject.toml has other settings now: restart to apply it")


NOTES = """
from ._generated.server import MutationCtx, mutation

@mutation
async def add(ctx: MutationCtx) -> list[str]:
    return [await ctx.db.insert("notes", {"text": number}) for number in range(12)]

@mutation
async def fix(ctx: MutationCtx, count: int) -> None:
    wrong = [note for note in await ctx.db.query("notes").collect() if not isinstance(note["text"], str)]
    for note in wrong[:count]:
        await ctx.db.patch(note["_id"], {"text": "fixed"})

@mutation
async def elsewhere(ctx: MutationCtx) -> None:
    await ctx.db.insert("others", {})
"""
STRICT = """
from pyconvex.server import define_schema, define_table
from pyconvex.values import v

default = define_schema({"notes": define_table({"text": v.string()})})
"""


def test_a_save_that_the_data_refuses_waits_for_the_data(project: Path) -> None:
    (project / "convex/notes.py").write_text(NOTES)
    with dev(project) as running:
        says(running, "ready in")
        ids = json.loads(command("run", "notes:add", folder=project).stdout)
        (project / "convex/schema.py").write_text(STRICT)
        says(running, "Still serving the version of")
        assert f'Document with ID "{ids[0]}" in table "notes" does not match the schema: ' in running.said
        assert "convex/schema.py:5" in running.said
        for shown in ids[:10]:
            assert f"{shown}  notes.text  Value does not match validator. Value: " in running.said
        assert ids[10] not in running.said
        loads = running.said.count("reloaded")

        assert command("run", "notes:fix", '{"count": 4}', folder=project).exit_code == 0
        assert command("run", "notes:elsewhere", folder=project).exit_code == 0
        assert command("run", "notes:fix", '{"count": 6}', folder=project).exit_code == 0
        says(running, f"{ids[10]}  notes.text")
        assert running.said.count("error[SchemaViolation]") == 2, "a retry that finds the same is quiet"
        assert running.said.count("reloaded") == loads + 1

        assert command("run", "notes:fix", '{"count": 2}', folder=project).exit_code == 0
        wait_until(lambda: "✔" in running.said.split(ids[10])[-1], "it goes on by itself")
        assert command("run", "notes:add", folder=project).exit_code == 1, "the new schema is in force"


def test_a_save_that_the_data_refuses_goes_on_with_the_next_save(project: Path) -> None:
    (project / "convex/notes.py").write_text(NOTES)
    with dev(project, "--json") as running:
        says(running, '"type": "ready"')
        (first, *_) = json.loads(command("run", "notes:add", folder=project).stdout)
        (project / "convex/schema.py").write_text(STRICT)
        wait_until(lambda: '"type": "failed"' in running.said.rpartition("\n")[0], "the whole line")
        event = next(json.loads(line) for line in running.said.splitlines() if '"type": "failed"' in line)
        (problem,) = event["problems"]
        assert (problem["code"], len(problem["documents"])) == ("SchemaViolation", 10)
        assert problem["documents"][0] == {
            "id": first,
            "table": "notes",
            "path": ".text",
            "reason": "Value does not match validator.\nPath: .text\nValue: 0.0\nValidator: v.string()",
        }
        (project / "convex/schema.py").write_text(STRICT.replace("v.string()", "v.any()"))
        says(running, '"type": "reloaded"')


def test_a_command_runs_beside_it_and_ends_it(project: Path) -> None:
    ran = command(
        "dev", "--port", str(free_port()), "--site-port", "0", "--start", 'echo "$CONVEX_URL" > told.txt; exit 7',
        folder=project,
    )  # fmt: skip
    assert ran.exit_code == 7
    assert (project / "told.txt").read_text().startswith("http://127.0.0.1:")


def test_until_success(project: Path) -> None:
    save(project, "http.py", "default = http\n", "")
    output = project.parent / "output.txt"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [BIN / "pyconvex", "dev", "--until-success"], cwd=project, stderr=stream, stdin=subprocess.DEVNULL
        )
    with _ended(process):
        wait_until(lambda: "until this is fixed" in output.read_text(), "the problem is shown")
        wait_until(lambda: process.poll() is not None or _save_again(project), "it ends", seconds=30)
        assert process.wait(10) == 0


def _save_again(project: Path) -> bool:
    (project / "convex/http.py").write_text(HTTP)
    time.sleep(0.1)
    return False


class Keyboard:
    """`pyconvex dev` on a terminal of its own."""

    def __init__(self, project: Path, columns: int, *arguments: str) -> None:
        import fcntl
        import struct
        import termios

        self._screen, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "CI")}
        words = [BIN / "pyconvex", "dev", "--port", str(free_port()), "--site-port", "0", *arguments]
        self.process = subprocess.Popen(
            words, cwd=project, stdin=child, stdout=child, stderr=child,
            env={**kept, "TERM": "xterm-256color"}, start_new_session=True, preexec_fn=_own_terminal(child),
        )  # fmt: skip
        os.close(child)
        self.raw = ""

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[\d;]*[a-zA-Z]", "", self.raw.replace("\r\n", "\n"))

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def shows(self, text: str) -> None:
        end = time.monotonic() + 30
        while text not in self.text:
            assert time.monotonic() < end, f"{text!r} not in:\n{self.text}"
            self._read(0.1)

    def press_until(self, key: str, text: str) -> None:
        """Press a key that changes nothing, again and again: who knows when keys begin to be read."""
        while text not in self.text:
            self.press(key)
            self._read(0.2)

    def ended(self) -> int | None:
        """The exit code; what is still shown is read meanwhile."""
        end = time.monotonic() + 10
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
            self._read(0.05)
        return self.process.returncode

    def forget(self) -> None:
        self.raw = ""

    def _read(self, seconds: float) -> None:
        if select.select([self._screen], [], [], seconds)[0]:
            with contextlib.suppress(OSError):  # the other end has closed
                self.raw += os.read(self._screen, 65536).decode("utf-8", "replace")


def _own_terminal(descriptor: int) -> Any:
    def claim() -> None:
        import fcntl
        import termios

        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)

    return claim


@pytest.mark.skipif(sys.platform == "win32", reason="keys are read with termios")
def test_keys(project: Path) -> None:
    (project / "helpers.py").write_text("WORD = 'one'\n")
    with (project / "convex/messages.py").open("a") as messages:
        messages.write("from helpers import WORD\n")
    keyboard = Keyboard(project, columns=100)
    with _ended(keyboard.process):
        keyboard.shows("press h for help")
        assert "\x1b[32m✔\x1b[0m" in keyboard.raw
        keyboard.press_until("h", "p  pause the log, or go on")
        for key, answer in [
            ("f", "messages:greet"),
            ("u", "➜ API"),
            ("p", "the log is paused"),
            ("p", "the log goes on"),
            ("r", "reloaded in"),
        ]:
            keyboard.forget()
            keyboard.press(key)
            keyboard.shows(answer)
        keyboard.press("c")
        (project / "helpers.py").write_text("WORD = 'two'\n")
        keyboard.shows("press r to restart")
        assert "\x1b[2J" in keyboard.raw
        keyboard.forget()
        keyboard.press("r")
        keyboard.shows("press h for help")
        assert "pyconvex" in keyboard.text, "it has begun anew"
        keyboard.press_until("h", "q  quit")
        keyboard.press("q")
        assert keyboard.ended() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="keys are read with termios")
def test_a_command_beside_it_has_colours_and_leaves_the_keys_alone(project: Path) -> None:
    start = r"printf '\033[2J\033[35mFORCE_COLOR is %s\033[0m\n' $FORCE_COLOR; read key; echo got=$key;"
    keyboard = Keyboard(project, 100, "--start", start)
    with _ended(keyboard.process):
        keyboard.shows("FORCE_COLOR is 1")
        assert "\x1b[2mprintf │\x1b[0m \x1b[35mFORCE_COLOR is 1" in keyboard.raw
        assert "\x1b[2J" not in keyboard.raw
        keyboard.press_until("h", "p  pause the log, or go on")
        keyboard.press("q")
        assert keyboard.ended() == 0
        assert not re.search(r"got=[^$]", keyboard.text), "it has no input that anybody could type"
