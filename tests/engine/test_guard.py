# ruff: noqa: PTH102, PTH104, PTH107, PTH120, PTH123, PTH208, SIM115
# These very calls are what is tested.
"""What handlers may not touch, what they may, and that nobody else is affected."""

import asyncio
import concurrent.futures
import email.message
import importlib
import linecache
import mimetypes
import os
import random
import secrets
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import tokenize
import traceback
import urllib.request
import uuid
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

import pyconvex
from pyconvex.engine.driver import guard
from pyconvex.engine.driver.function_loop import FunctionLoop
from pyconvex.engine.driver.guard import NotInQueriesOrMutations
from pyconvex.engine.driver.time_limit import FunctionTimeout, trusted
from pyconvex.store import keys

T = TypeVar("T")

HERE = Path(__file__).parent
URL = "http://127.0.0.1:1/"

guard.install([HERE])


def in_handler(work: Callable[[], T]) -> T:
    async def handler() -> T:
        return work()

    async def main() -> T:
        return await FunctionLoop(10.0).run(handler())

    return asyncio.run(main())


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the user's, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "secret.txt"
    path.write_text("secret")
    return path


REFUSED: dict[str, tuple[str, Callable[[], object]]] = {
    "socket": ("sockets", lambda: socket.socket()),
    "create_connection": ("sockets", lambda: socket.create_connection(("127.0.0.1", 1))),
    "getaddrinfo": ("sockets", lambda: socket.getaddrinfo("localhost", 1)),
    "gethostbyname": ("sockets", lambda: socket.gethostbyname("localhost")),
    "urlopen": ("urllib.request", lambda: urllib.request.urlopen(URL)),
    "run": ("processes", lambda: subprocess.run(["true"], check=False)),
    "popen": ("processes", lambda: subprocess.Popen(["true"])),
    "kill": ("processes", lambda: os.kill(os.getpid(), 0)),
    "thread": ("threads", lambda: threading.Thread(target=int).start()),
    "timer": ("threads", lambda: threading.Timer(9, int).start()),
    "executor": ("threads", lambda: concurrent.futures.ThreadPoolExecutor().submit(int)),
    "open": ("files", lambda: open("secret.txt")),
    "open bytes": ("files", lambda: open(b"secret.txt", "rb")),
    "open relative": ("files", lambda: open(f"{os.path.dirname(os.__file__)}/../../../../../../etc/hostname")),
    "open descriptor": ("files", lambda: open(0, closefd=False)),
    "os.open": ("files", lambda: os.open("secret.txt", os.O_RDONLY)),
    "path": ("files", lambda: Path("secret.txt").read_text()),
    "write": ("files", lambda: open("new.txt", "w")),
    "append": ("files", lambda: open(__file__, "a")),
    "update": ("files", lambda: open(os.__file__, "r+")),
    "os.open to write": ("files", lambda: os.open(__file__, os.O_WRONLY)),
    "temporary": ("files", lambda: tempfile.TemporaryFile()),
    "remove": ("files", lambda: os.remove("secret.txt")),
    "rename": ("files", lambda: os.rename("secret.txt", "other.txt")),
    "mkdir": ("files", lambda: os.mkdir("new")),
    "listdir": ("files", lambda: os.listdir()),
    "iterdir": ("files", lambda: list(Path().iterdir())),
    "scandir": ("files", lambda: list(os.scandir("."))),
    "sqlite": ("files", lambda: sqlite3.connect("secret.db")),
    "input": ("input()", lambda: input()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_handlers_may_not(name: str, secret: Path) -> None:
    what, work = REFUSED[name]
    with pytest.raises(NotInQueriesOrMutations) as caught:
        in_handler(work)
    assert str(caught.value) == f"Can't use {what} in queries and mutations. Please consider using an action."
    assert caught.value.code == "NotInQueriesOrMutations"
    assert not caught.value.bare
    assert secret.read_text() == "secret"


def test_handlers_may_catch_the_refusal(secret: Path) -> None:
    def work() -> str:
        try:
            return secret.read_text()
        except Exception as error:
            return type(error).__name__

    assert in_handler(work) == "NotInQueriesOrMutations"


def spool() -> bytes:
    with tempfile.SpooledTemporaryFile() as file:
        file.write(b"x")
        file.seek(0)
        return file.read()


def import_anew() -> object:
    """A module of the standard library, from its file."""
    sys.modules.pop("this_is_no_module", None)
    sys.modules.pop("colorsys", None)
    importlib.invalidate_caches()
    return importlib.import_module("colorsys")


def trace() -> str:
    linecache.clearcache()
    try:
        raise KeyError("x")
    except KeyError:
        return traceback.format_exc()


def berlin() -> object:
    return zoneinfo.ZoneInfo.no_cache("Europe/Berlin").key


def guess() -> object:
    mimetypes.init()
    return mimetypes.guess_type("a.png")[0]


def read_source() -> str:
    with tokenize.open(__file__) as file:
        return file.readline()


def use_sqlite_in_memory() -> object:
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute("SELECT 1").fetchone()
    finally:
        connection.close()


ALLOWED: dict[str, Callable[[], object]] = {
    "zone": berlin,
    "mime": guess,
    "import": import_anew,
    "traceback": trace,
    "own source": lambda: Path(__file__).read_text(),
    "tokenize": read_source,
    "library": lambda: Path(os.__file__).read_text(),
    "package": lambda: Path(pytest.__file__).read_text(),
    "random": lambda: (random.random(), uuid.uuid4(), secrets.token_hex(), os.urandom(1)),
    "time": lambda: time.localtime(),
    "spooled": spool,
    "sqlite": use_sqlite_in_memory,
    "email": lambda: email.message.EmailMessage().as_string(),
    "environment": lambda: os.environ.get("PATH"),
    "lock": lambda: threading.Lock().acquire(),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_handlers_may(name: str) -> None:
    assert in_handler(ALLOWED[name])


def test_a_file_that_is_open_already_may_be_read(secret: Path) -> None:
    with secret.open() as file:
        assert in_handler(file.read) == "secret"


def test_the_lines_of_a_traceback_are_the_users(secret: Path) -> None:
    assert 'raise KeyError("x")' in in_handler(trace)


def test_trusted_code_may_do_everything(secret: Path) -> None:
    def work() -> str:
        with trusted():
            threading.Thread(target=int).start()
            return secret.read_text()

    assert in_handler(work) == "secret"
    with pytest.raises(NotInQueriesOrMutations):
        in_handler(lambda: (in_trust(), secret.read_text()))


def in_trust() -> None:
    with trusted():
        pass


def test_everything_else_in_the_process_is_untouched(secret: Path) -> None:
    read = list[str]()
    started, go_on = threading.Event(), threading.Event()

    def other_thread() -> None:
        started.set()
        go_on.wait()
        read.append(secret.read_text())

    def work() -> None:
        go_on.set()
        while not read:
            time.sleep(0.001)

    thread = threading.Thread(target=other_thread)
    thread.start()
    started.wait()
    in_handler(work)
    thread.join()
    assert read == ["secret"]
    assert secret.read_text() == "secret"


def test_what_waits_on_the_real_loop_is_untouched(secret: Path) -> None:
    """A store call runs outside the handler's frames."""

    async def store_call() -> str:
        await asyncio.sleep(0)
        return secret.read_text()

    async def main() -> str:
        real = asyncio.get_running_loop()
        loop = FunctionLoop(10.0)

        async def handler() -> str:
            return await loop.adopt(asyncio.Task(store_call(), loop=real))

        return await loop.run(handler())

    assert asyncio.run(main()) == "secret"


def test_handlers_on_another_thread_are_watched_too(secret: Path) -> None:
    failures = list[Exception]()

    def run() -> None:
        try:
            in_handler(secret.read_text)
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [type(failure) for failure in failures] == [NotInQueriesOrMutations]


def test_installing_again_adds_sources_and_no_hook(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(NotInQueriesOrMutations):
        in_handler(source.read_text)
    guard.install([tmp_path / "link"])
    assert in_handler(source.read_text) == "x = 1\n"
    assert in_handler((tmp_path / "link" / "module.py").read_text) == "x = 1\n"
    source.with_suffix(".txt").write_text("secret")
    with pytest.raises(NotInQueriesOrMutations):
        in_handler(source.with_suffix(".txt").read_text)


@pytest.mark.parametrize(
    ("filename", "library"),
    [
        (os.__file__, True),
        (pytest.__file__, True),
        (guard.__file__, True),
        (pyconvex.__file__, True),
        (keys.__file__, True),
        ("<frozen importlib._bootstrap>", True),
        (__file__, False),
        ("/somewhere/convex/messages.py", False),
        ("<string>", False),
    ],
)
def test_library_code_is_told_from_the_users(filename: str, library: bool) -> None:
    assert guard.is_library(filename) is library


def test_a_program_with_the_hook_ends_cleanly() -> None:
    program = """
import atexit, os
import pyconvex
from pyconvex.engine.driver import guard
guard.install()
class Late:
    def __del__(self, open=os.open, close=os.close, path=os.devnull): close(open(path, 0))
late = Late()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_time_limit_holds_inside_what_is_refused() -> None:
    """Being refused again and again is the user's time, too."""

    async def handler() -> None:
        while True:
            with suppress(NotInQueriesOrMutations):
                socket.socket()

    async def main() -> None:
        await FunctionLoop(0.03).run(handler())

    with pytest.raises(FunctionTimeout):
        asyncio.run(main())
