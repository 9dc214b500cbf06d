"""`pyconvex run --watch` and `--push`: of a running deployment, and of a project that is not running."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.dev import BIN, WAIT_SECONDS, Dev, dev, environment_of, pyconvex, wait_until

MESSAGES = """\
from ._generated.server import MutationCtx, QueryCtx, internal_query, mutation, query


@query
async def bodies(ctx: QueryCtx):
    return [message["body"] for message in await ctx.db.query("messages").collect()]


@internal_query
async def newest(ctx: QueryCtx):
    print("looking")
    message = await ctx.db.query("messages").order("desc").first()
    return message and message["body"]


@query
async def who(ctx: QueryCtx):
    identity = await ctx.auth.get_user_identity()
    return identity and identity["name"]


@query
async def picky(ctx: QueryCtx):
    if await ctx.db.query("messages").first() is None:
        raise ValueError("nothing there yet")
    return "something"


@mutation
async def send(ctx: MutationCtx, body: str) -> None:
    await ctx.db.insert("messages", {"body": body})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "convex").mkdir(parents=True)
    (folder / "convex/messages.py").write_text(MESSAGES)
    return folder


@dataclass(slots=True)
class Watch:
    """A running `pyconvex run --watch`."""

    process: subprocess.Popen[bytes]
    out: Path = field(repr=False)
    err: Path = field(repr=False)

    @property
    def results(self) -> list[object]:
        """What it has printed, as far as it is whole."""
        text, found = self.out.read_text(), list[object]()
        decoder = json.JSONDecoder()
        with contextlib.suppress(ValueError):
            while text.strip():
                value, end = decoder.raw_decode(text.lstrip())
                text = text.lstrip()[end:]
                found.append(value)
        return found

    def until(self, *results: object) -> None:
        wait_until(lambda: self.results == list(results) or self.process.poll() is not None, f"{results}")
        assert self.results == list(results), self.err.read_text()

    def says(self, text: str) -> None:
        wait_until(lambda: text in self.err.read_text() or self.process.poll() is not None, text)
        assert text in self.err.read_text()

    def interrupt(self) -> None:
        """Ctrl-C, after which it leaves without another word."""
        said = self.err.read_text()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(WAIT_SECONDS) == 130
        assert self.err.read_text() == said


@contextlib.contextmanager
def watching(folder: Path, *arguments: str) -> Generator[Watch]:
    out, err = folder / "out.txt", folder / "err.txt"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [BIN / "pyconvex", "run", "--watch", *arguments],
            cwd=folder,
            env=environment_of(None),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    try:
        yield Watch(process, out, err)
    finally:
        process.kill()
        process.wait()


def send(running: Dev, body: str) -> None:
    call = json.dumps({"path": "messages:send", "args": {"body": body}})
    reply = running.fetch("POST", "/api/mutation", call, {"Content-Type": "application/json"}, port=running.port)
    assert reply.json["status"] == "success"


def save(folder: Path, before: str, after: str) -> None:
    file = folder / "convex/messages.py"
    file.write_text(file.read_text().replace(before, after))


def test_a_running_deployment(project: Path) -> None:
    with contextlib.ExitStack() as running:
        server = running.enter_context(dev(project))
        with watching(project, "messages:bodies") as watch:
            watch.until([])
            watch.says(f"watching messages:bodies of http://127.0.0.1:{server.port}")
            send(server, "a")
            watch.until([], ["a"])
            save(project, 'message["body"] for', 'message["body"].upper() for')
            watch.until([], ["a"], ["A"])
            assert server.interrupt() == 130
            watch.says("the server has stopped; waiting for it to come back")
            again = running.enter_context(dev(project))
            watch.until([], ["a"], ["A"], ["A"])
            send(again, "b")
            watch.until([], ["a"], ["A"], ["A"], ["A", "B"])
            watch.interrupt()


def test_a_project_that_is_not_running_is_followed_as_it_is_saved(project: Path) -> None:
    with watching(project, "messages:bodies") as watch:
        watch.until([])
        save(project, "return [message", "return ['first'] + [message")
        watch.until([], ["first"])
        save(project, "@internal_query", "@internal_query(")
        watch.says("convex/messages.py")
        save(project, "@internal_query(", "@internal_query")
        save(project, "'first'", "'second'")
        watch.until([], ["first"], ["second"])
        watch.interrupt()


def test_lines_for_programs(project: Path) -> None:
    with dev(project) as server, watching(project, "messages:newest", "--json") as watch:
        watch.until({"status": "success", "value": None, "logLines": ["[LOG] 'looking'"], "journal": None})
        send(server, "a")
        wait_until(lambda: len(watch.results) == 2, "two lines")
        assert len(watch.out.read_text().splitlines()) == 2
        assert watch.err.read_text() == ""
        watch.interrupt()


def test_a_query_that_fails_is_watched_on(project: Path) -> None:
    with dev(project) as server, watching(project, "messages:picky") as watch:
        watch.says("error: messages:picky failed: ValueError: nothing there yet\n    at picky (convex/messages.py:")
        send(server, "a")
        watch.until("something")
        watch.interrupt()


def test_as_a_user(project: Path) -> None:
    with watching(project, "messages:who", "--identity", '{"name": "Ada"}') as watch:
        watch.until("Ada")
        watch.interrupt()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("messages:none",), 1, "Could not find public function for 'messages:none'."),
        (("messages:send",), 1, "hint: only queries can be watched: leave out --watch"),
        (("messages:bodies", "--report"), 2, "--report is about one call"),
        (("messages:bodies", "[]"), 2, "ARGS must be a JSON object"),
    ],
)
def test_what_cannot_be_watched(project: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = pyconvex("run", "--watch", *arguments, folder=project)
    assert (ran.exit_code, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_push_runs_what_is_saved(project: Path) -> None:
    with dev(project):
        for word in ("one", "two"):
            (project / "convex/words.py").write_text(
                f"from ._generated.server import query\n\n\n@query\nasync def word(ctx):\n    return {word!r}\n"
            )
            assert pyconvex("run", "words:word", "--push", folder=project).stdout == f'"{word}"\n'
        (project / "convex/words.py").write_text("this is no Python\n")
        ran = pyconvex("run", "words:word", "--push", folder=project)
        assert (ran.exit_code, ran.stdout) == (1, "")
        assert ran.stderr.startswith("error: convex/words.py:1")
    (project / "convex/words.py").unlink()
    assert pyconvex("run", "messages:bodies", "--push", folder=project).stdout == "[]\n"
