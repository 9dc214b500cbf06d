"""The command line itself: help, mistakes, exit codes, and what is imported for it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyconvex import __version__
from pyconvex_cli.command_line import EXAMPLES
from support.command import command
from support.ports import free_port

COMMANDS = [[name] for name in EXAMPLES] + [["env", name] for name in ("list", "get", "set", "remove")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "convex").mkdir()
    (tmp_path / "convex" / "m.py").write_text("")
    return tmp_path


def test_help_lists_every_command_with_a_whole_sentence(tmp_path: Path) -> None:
    ran = command("--help", folder=tmp_path, environment={"COLUMNS": "80"})
    assert (ran.exit_code, ran.stderr) == (0, "")
    listed = dict(re.findall(r"^  ([a-z-]+) {2,}(\S.+)$", ran.stdout.partition("Commands:")[2], re.MULTILINE))
    assert set(listed) == set(EXAMPLES)
    assert all(sentence.endswith(".") for sentence in listed.values()), listed


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_and_every_flag_its_variable(words: list[str], tmp_path: Path) -> None:
    ran = command(*words, "--help", folder=tmp_path)
    assert ran.exit_code == 0
    example = re.search(r"^  Example: (.+)$", ran.stdout, re.MULTILINE)
    assert example is not None
    assert f"pyconvex {words[0]}" in example[1]
    options = re.split(r"\n  (?=-)", ran.stdout.partition("Options:")[2])[1:]
    for option in options:
        assert "[env var:" in " ".join(option.split()) or "--help" in option, option


MISTAKES: list[tuple[list[str], str]] = [
    (["rotues"], "error: no such command 'rotues'\nhint: did you mean 'routes'?"),
    (["zzz"], "error: no such command 'zzz'"),
    (["routes", "--jso"], "error: no such option: --jso\nhint: did you mean --json?"),
    (["dev", "--port"], "error: option '--port' requires an argument"),
    (
        ["dev", "--port", "abc"],
        "error: --port is 'abc', but it must be a port from 0 to 65535\nhint: 0 takes any free port",
    ),
    (
        ["dev", "--limit", "acton_seconds=1"],
        "error: there is no limit `acton_seconds` (--limit)\nhint: did you mean `action_seconds`?",
    ),
    (["dev", "--once", "--until-success"], "error: --once and --until-success exclude each other"),
    (["run"], "error: missing argument 'FN'"),
    (
        ["run", "m:f", "{"],
        "error: ARGS is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    (["run", "m:f", "[]"], 'error: ARGS must be a JSON object such as {"author": "Ada"}'),
    (["routes", "--match", "FETCH /x"], "error: 'FETCH /x' is not a request such as \"POST /sendImage\""),
    (
        ["routes", "--url", "http://127.0.0.1:1"],
        "error: --url needs --admin-key too (or CONVEX_SELF_HOSTED_ADMIN_KEY)",
    ),
    (
        ["routes", "--url", "ftp://x", "--admin-key", "k"],
        "error: 'ftp://x' is not an http:// or https:// address",
    ),
    (["logs", "--status", "9"], "error: --status is '9', but it must be like 404, 5xx, ok or error"),
    (["env", "set"], "error: nothing to set: give NAME VALUE, NAME=VALUE, or --from-file FILE"),
    (["env", "set", "A=1", "B"], "error: 'B' is not NAME=VALUE"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_mistakes_are_explained(arguments: list[str], message: str, project: Path) -> None:
    ran = command(*arguments, folder=project)
    assert (ran.exit_code, ran.stdout, ran.stderr) == (2, "", f"{message}\n")


def test_nobody_at_the_address(project: Path) -> None:
    ran = command("routes", "--url", f"http://127.0.0.1:{free_port()}", "--admin-key", "k", folder=project)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert re.fullmatch(r"error: the deployment at http://127.0.0.1:\d+ does not answer: .+refused\n", ran.stderr)


def test_outside_a_project(tmp_path: Path) -> None:
    ran = command("dev", folder=tmp_path)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"error: there is no convex/ folder in {tmp_path.resolve()} or above it\n"
        "hint: start a project with `pyconvex init`, or change to the folder that holds convex/\n"
    )


def test_a_project_is_found_from_inside(project: Path) -> None:
    (project / "convex" / "admin").mkdir()
    (project / ".git").mkdir()
    assert command("codegen", folder=project / "convex" / "admin").exit_code == 0
    assert (project / "convex/_generated/api.py").exists()


def test_without_a_command_the_help_is_shown(tmp_path: Path) -> None:
    ran = command(folder=tmp_path)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Usage: pyconvex [OPTIONS] COMMAND")


def test_version(tmp_path: Path) -> None:
    ran = command("--version", folder=tmp_path, environment={"PYCONVEX_VERSION": "whatever containers set"})
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, f"pyconvex {__version__}\n", "")


def test_a_reader_that_has_enough_is_no_error(project: Path) -> None:
    words = f"{Path(sys.executable).parent / 'pyconvex'} limits --json | head -1"
    done = subprocess.run(["sh", "-c", words], cwd=project, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("[\n", "")


def _imported(code: str, folder: Path) -> set[str]:
    program = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
    return {name.partition(".")[0] for name in done.stderr.split()} | set(done.stderr.split())


HEAVY = {
    "asyncio", "cryptography", "hypercorn", "jwt", "msgspec", "psycopg", "pyconvex.engine", "pyconvex.host",
    "pyconvex.loading", "pyconvex.store", "rich", "sqlite3", "uvloop", "watchfiles",
}  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["dev", "--help"], ["limits"], ["rotues"]], ids=" ".join)
def test_what_is_not_needed_is_not_imported(arguments: list[str], project: Path) -> None:
    code = f"from pyconvex_cli.command_line import execute\nexecute({arguments!r})"
    heavy = HEAVY - {"rich"} if arguments == ["limits"] else HEAVY
    assert _imported(code, project) & heavy == set()


LATE = {
    "ada_url", "bdb", "cryptography", "jwt", "psycopg", "pyconvex.engine.auth.tokens", "pyconvex.loading.codegen.texts",
    "pyconvex.sync.worker", "python_multipart",
}  # fmt: skip
SERVE = """
import asyncio
from pathlib import Path
from pyconvex.host import Host, HostOptions
from pyconvex.host.ports import bind_sockets


async def main():
    async with Host.open(HostOptions(project=Path())) as host:
        sockets, shutdown = bind_sockets(port=0, site_port=0), asyncio.Event()
        await host.reload()
        serving = asyncio.ensure_future(host.serve(sockets, shutdown))
        reader, writer = await asyncio.open_connection(*sockets.site.getsockname())
        writer.write(b"GET /hello HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        shutdown.set()
        await serving
        print("answered", file=sys.stderr)


asyncio.run(main())
"""
HELLO = """
from pyconvex.server import Response, http_router

http = http_router()


@http.route(path="/hello", method="GET")
async def hello(ctx, request):
    return Response("hello")


default = http
"""


def test_what_the_first_answer_does_not_need_is_not_imported(project: Path) -> None:
    (project / "convex/http.py").write_text(HELLO)
    found = _imported(SERVE, project)
    assert "answered" in found
    assert found & LATE == set()


def test_a_stopped_project_needs_no_server_and_no_watcher(project: Path) -> None:
    code = "from pyconvex_cli.command_line import execute\nassert execute(['routes']) == 0"
    assert _imported(code, project) & {"hypercorn", "watchfiles", "jwt", "psycopg", "cryptography"} == set()


def test_development_imports_the_server_but_neither_jwt_nor_psycopg(project: Path) -> None:
    code = "import pyconvex.host.server, pyconvex_cli.dev, pyconvex_cli.watcher"
    imported = _imported(code, project)
    assert "hypercorn" in imported
    assert imported & {"jwt", "psycopg", "cryptography", "watchfiles"} == set()
