"""`pyconvex dev --start`: the command lives as long as the server, and everybody hears what it says."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pyconvex_cli.companion import remedy
from support.command import command
from support.dev import BIN, Dev, dev, environment_of, wait_until
from support.ports import free_port

PYTHON = f'"{sys.executable}"'
TELLS = """\
import os, pathlib, sys
names = ("CONVEX_URL", "CONVEX_SITE_URL", "VITE_CONVEX_URL", "VITE_CONVEX_SITE_URL")
print("variables", *(os.environ.get(name) for name in names))
print("file", len(pathlib.Path(".env.local").read_text().split("VITE_CONVEX_URL=")))
print("on stderr", file=sys.stderr)
sys.stdout.write("\\x1b[2J\\x1b[32mgreen\\x1b[39m\\nand a question: ")
sys.stdout.flush()
"""
STAYS = """\
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print("running", os.getpid(), child.pid, flush=True)
time.sleep(300)
"""
IGNORES = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STAYS}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/a.py").write_text("from pyconvex.server import query\n\n\n@query\nasync def f(ctx):\n    pass\n")
    (folder / "package.json").write_text('{"devDependencies": {"vite": "8"}}')
    (folder / "node_modules").mkdir()
    (folder / "tells.py").write_text(TELLS)
    (folder / "stays.py").write_text(STAYS)
    (folder / "ignores.py").write_text(IGNORES)
    return folder


def started(project: Path, start: str, *arguments: str, output: Path) -> subprocess.Popen[bytes]:
    ports = ("--port", str(free_port()), "--site-port", str(free_port()))
    with output.open("wb") as stream:
        return subprocess.Popen(
            [BIN / "pyconvex", "dev", *ports, "--start", start, *arguments],
            cwd=project, env=environment_of(None), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip


def lines(running: Dev) -> list[str]:
    return [line.strip() for line in running.said.splitlines()]


def children(running: Dev) -> list[int]:
    wait_until(lambda: "running " in running.said, f"the command runs:\n{running.said}")
    (line,) = (line for line in lines(running) if " running " in line)
    return [int(word) for word in line.split("running ")[1].split()]


def lives(pid: int) -> bool:
    """Whether the process is there and more than a zombie, which nobody collects in some containers."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return not Path("/proc/self").exists()
    return False


def test_it_knows_the_addresses_and_its_output_is_passed_on(project: Path) -> None:
    with dev(project, "--start", f"{PYTHON} tells.py && sleep 300") as running:
        wait_until(lambda: "question" in running.said, f"also a line without an end:\n{running.said}")
        said = lines(running)
        api, site = (f"http://127.0.0.1:{port}" for port in (running.port, running.site_port))
        name = f"{Path(sys.executable).name} │"
        begin = said.index(f"▶ {PYTHON} tells.py && sleep 300")
        assert any("ready in" in line for line in said[:begin])
        assert said[begin + 1 :] == [
            f"{name} variables {api} {site} {api} {site}",
            f"{name} file 2",
            f"{name} on stderr",
            f"{name} green",
            f"{name} and a question:",
        ]
        assert running.interrupt() == 130
    assert "Traceback" not in running.said


def test_as_json(project: Path) -> None:
    output = project / "out.txt"
    process = started(project, f"{PYTHON} tells.py; exit 3", "--json", output=output)
    assert process.wait(30) == 3
    events: list[dict[str, Any]] = [json.loads(line) for line in output.read_text().splitlines()]
    said = [event["text"] for event in events if event["type"] == "output"]
    assert said[1:] == ["file 2", "on stderr", "green", "and a question: "]
    assert [event["type"] for event in events[-2:]] == ["ended", "stopped"]
    assert events[-2]["exitCode"] == 3
    assert events[-2]["command"] == f"{PYTHON} tells.py; exit 3"


@pytest.mark.parametrize(("start", "code", "mark"), [("exit 0", 0, "✔"), ("exit 7", 7, "✖"), ("kill -9 $$", 137, "✖")])
def test_dev_ends_with_the_command(project: Path, start: str, code: int, mark: str) -> None:
    output = project / "out.txt"
    assert started(project, start, output=output).wait(30) == code
    said = output.read_text().splitlines()
    assert said[-1].startswith(f"  {mark} ")
    assert said[-1].endswith(f" {start} ended with exit code {code}")


@pytest.mark.parametrize(
    ("script", "number", "code"),
    [("stays.py", signal.SIGINT, 130), ("stays.py", signal.SIGTERM, 0), ("ignores.py", signal.SIGINT, 130)],
)
def test_whatever_it_has_started_ends_with_dev(project: Path, script: str, number: signal.Signals, code: int) -> None:
    with dev(project, "--start", f"{PYTHON} {script}") as running:
        pids = children(running)
        assert all(map(lives, pids))
        begun = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(30) == code
        assert time.monotonic() - begun < 4  # a second where the machine has nothing else to do
        wait_until(lambda: not any(map(lives, pids)), "both have ended")
    assert "ended with exit code" not in running.said


def test_asked_twice_nothing_is_left_behind_either(project: Path) -> None:
    with dev(project, "--start", f"{PYTHON} ignores.py") as running:
        pids = children(running)
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 130
        wait_until(lambda: not any(map(lives, pids)), "both have ended")


@pytest.mark.parametrize("script", ["stays.py", "ignores.py"])
def test_it_ends_even_when_dev_is_killed(project: Path, script: str) -> None:
    with dev(project, "--start", f"{PYTHON} {script}") as running:
        pids = children(running)
        running.process.kill()
        running.process.wait(30)
        wait_until(lambda: not any(map(lives, pids)), "both have ended")


def test_what_the_command_leaves_behind_ends_too(project: Path) -> None:
    output = project / "out.txt"
    process = started(
        project, f"{PYTHON} stays.py & sleep 0.01; while ! test -e go; do sleep 0.01; done", output=output
    )
    running = Dev(project, 0, 0, process, output)
    pids = children(running)
    (project / "go").touch()
    assert process.wait(30) == 0
    wait_until(lambda: not any(map(lives, pids)), "both have ended")


def test_it_waits_for_the_first_version_that_loads(project: Path) -> None:
    good = (project / "convex/a.py").read_text()
    (project / "convex/a.py").write_text("(\n")
    with dev(project, "--start", f"{PYTHON} stays.py") as running:
        wait_until(lambda: "Nothing is served" in running.said, "the first version fails")
        assert "▶" not in running.said
        (project / "convex/a.py").write_text(good)
        first = children(running)
        (project / "convex/a.py").write_text(good.replace("def f", "def g"))
        wait_until(lambda: "a:g" in running.said.partition("reloaded in")[2], "it goes on reloading")
        assert children(running) == first


def test_a_program_that_is_missing(project: Path) -> None:
    output = project / "out.txt"
    assert started(project, "no-such-program run dev", output=output).wait(30) == 127
    assert "hint: there is no program `no-such-program` on this machine's PATH" in output.read_text()


@pytest.mark.parametrize(
    ("start", "code", "hint"),
    [
        ("npm run dev", 0, None),
        ("npm run dev", 127, "run `npm install` first: there is no node_modules"),
        ("FORCE_COLOR=1 pnpm dev", 1, "run `pnpm install` first: there is no node_modules"),
        ("vite", 1, "run `npm install` first: there is no node_modules"),
        ("'unclosed", 2, "run `npm install` first: there is no node_modules"),
    ],
)
def test_what_helps(project: Path, monkeypatch: pytest.MonkeyPatch, start: str, code: int, hint: str | None) -> None:
    monkeypatch.setattr("shutil.which", str)
    assert remedy(start, code, project) is None
    (project / "node_modules").rmdir()
    assert remedy(start, code, project) == hint
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(project))
    missing = remedy("npm run dev", 127, project)
    assert missing == "there is no program `npm` on this machine's PATH; it comes with Node.js (https://nodejs.org)"


@pytest.mark.parametrize("flag", ["--once", "--until-success"])
def test_a_server_that_does_not_stay_starts_nothing(project: Path, flag: str) -> None:
    ran = command("dev", flag, "--start", "npm run dev", folder=project)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: --start needs a server that stays")
