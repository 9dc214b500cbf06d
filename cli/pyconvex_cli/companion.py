"""`pyconvex dev --start COMMAND`: a command beside the server, such as the development server of a front end.

It runs in a session of its own: Ctrl-C reaches `dev` only, which then ends the command and all that it has started.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from pyconvex_cli.foreign_lines import ForeignLines
from pyconvex_cli.wording import program_of

GENTLE_SECONDS = 0.6
"""How long the command may take to end when it is asked to."""
REST_SECONDS = 0.3
"""After which the beginning of a line is shown, for it may be a question."""
LAST_SECONDS = 0.2
"""How long output is waited for once the command has ended; what it left behind may hold the pipe open for ever."""

_NOT_FOUND = 127
"""The exit code of a shell that does not find a command (POSIX, Shell Command Language 2.8.2)."""
_PACKAGE_MANAGERS = ("npm", "pnpm", "yarn", "bun")


class Companion:
    """A shell command that lives as long as `run` does.

    Args:
        folder: where it runs.
        environment: variables besides this process's own.
        show: called on the event loop with each line that it prints.
    """

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str], show: Callable[[str], None]) -> None:
        self._command = command
        self._folder = folder
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._show = show
        self._lines = ForeignLines()
        self._flush: asyncio.TimerHandle | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> int:
        """Until the command ends by itself; its exit code. When this is cancelled, it is ended first.

        Raises `OSError` where there is no shell.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        silent: asyncio.Future[None] = loop.create_future()
        process = self._process = self._start()
        guard = _Guard(process.pid) if os.name == "posix" else contextlib.nullcontext()
        assert process.stdout is not None
        output = process.stdout
        _in_thread(loop, lambda: self._read(output, loop), silent)
        _in_thread(loop, process.wait, ended)
        with guard:
            try:
                await ended
                await asyncio.wait({silent}, timeout=LAST_SECONDS)
                self._show_all(self._lines.flush())
            finally:
                self._show = _nowhere
                await self._end()
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def kill(self) -> None:
        """End it and all that it has started on the spot."""
        self._signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            shell=True,
            cwd=self._folder,
            env=self._environment,
            # never written to, but open: many tools end when their input does
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _read(self, output: IO[bytes], loop: asyncio.AbstractEventLoop) -> None:
        while data := os.read(output.fileno(), 65536):
            loop.call_soon_threadsafe(self._received, data)

    def _received(self, data: bytes) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        self._show_all(self._lines.feed(data))
        if self._lines.has_rest:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(REST_SECONDS, lambda: self._show_all(self._lines.flush()))

    def _show_all(self, lines: list[str]) -> None:
        for line in lines:
            self._show(line)

    async def _end(self) -> None:
        """Gently, then firmly; also what the command has left behind."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + GENTLE_SECONDS
        while self._lives() and time.monotonic() < until:  # noqa: ASYNC110 - nothing tells when a process group is empty
            await asyncio.sleep(0.02)
        self.kill()

    def _lives(self) -> bool:
        return self._signal(0) and not (self._process and _only_zombies(self._process.pid))

    def _signal(self, number: int) -> bool:
        """Whether there was somebody to send it to."""
        process = self._process
        if process is None:
            return False
        if sys.platform == "win32":
            if number and process.poll() is None:
                process.terminate()
            return process.poll() is None
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS forbids it where only zombies are left
            return False
        return True


class _Guard:
    """Ends a group of processes when this process is gone without having done so itself, as after `kill -9`."""

    # Its input ends with the process that holds the other end, however that one ends.
    _SCRIPT = 'read -r _; kill -s TERM -- -"$1"; sleep "$2"; kill -s KILL -- -"$1"'

    def __init__(self, group: int) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", self._SCRIPT, "sh", str(group), str(GENTLE_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        """There is nothing left to be ended."""
        with self._process:  # closes its input, and waits
            self._process.kill()


def remedy(command: str, exit_code: int, folder: Path) -> str | None:
    """What may help against a command that has failed; None where that is not obvious."""
    if exit_code == 0:
        return None
    program = program_of(command)
    if exit_code == _NOT_FOUND and shutil.which(program) is None:
        node = "; it comes with Node.js (https://nodejs.org)" if program in ("npm", "npx", "node") else ""
        return f"there is no program `{program}` on this machine's PATH{node}"
    if (folder / "package.json").exists() and not _has_packages(folder):
        return f"run `{program if program in _PACKAGE_MANAGERS else 'npm'} install` first: there is no node_modules"
    return None


def _has_packages(folder: Path) -> bool:
    return any((each / "node_modules").is_dir() for each in (folder, *folder.parents))


def _only_zombies(group: int) -> bool:
    """Whether all processes of the group have ended, but nobody has collected them: in containers that takes seconds.

    Only Linux tells (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html).
    """
    states: list[str] = []
    for file in Path("/proc").glob("[1-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = file.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group:
                states.append(state)
    return bool(states) and all(state in "ZX" for state in states)


def _in_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], object], done: "asyncio.Future[None]") -> None:
    """Calls what blocks; not in the loop's own threads, which must be idle for `dev` to end."""

    def run() -> None:
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # the loop may have ended meanwhile
            work()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))

    threading.Thread(target=run, name="pyconvex-start", daemon=True).start()


def _nowhere(line: str) -> None:
    """Nobody is to be told any more."""
