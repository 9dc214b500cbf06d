"""Who uses a data folder: the lock, and the file that tells others where the deployment in it answers.

One process at a time keeps its documents there. Those whose documents are in a database elsewhere share the folder.
"""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct
from msgspec.structs import asdict

from pyconvex.errors import StartFailed


class Running(Struct, frozen=True):
    """What `.pyconvex/server.json` says while a deployment is served."""

    pid: int
    url: str
    site_url: str
    version: str


def running_server(data: Path) -> Running | None:
    """The server that serves the deployment in `data`, if one said so and its process is alive."""
    try:
        running = Running(**json.loads((data / "server.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return running if _alive(running.pid) else None


@contextmanager
def announced(data: Path, running: Running) -> Generator[None, None, None]:
    """`.pyconvex/server.json` for as long as the block runs; readers never see half a file."""
    file = data / "server.json"
    fresh = data / f"server.json.{running.pid}"
    fresh.write_text(json.dumps(asdict(running)) + "\n")
    fresh.replace(file)
    try:
        yield
    finally:
        with suppress(OSError, ValueError, TypeError):
            if Running(**json.loads(file.read_bytes())).pid == running.pid:  # else it is another's by now
                file.unlink()


@contextmanager
def deployment_lock(data: Path, *, shared: bool = False) -> Generator[None, None, None]:
    """Own the deployment in `data`, or use it with others that do so too if it is `shared`.

    The lock goes with the process, however that ends.

    Raises `StartFailed` (`DeploymentInUse`) naming the process that owns it, and the address it answers on.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a+b") as file:
        if not _try_lock(file, shared=shared):
            raise _in_use(data, file)
        if not shared:
            file.truncate(0)
            file.write(b"%d\n" % os.getpid())
            file.flush()
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":
    import msvcrt

    # far behind the text, so that others can still read whose lock it is
    _LOCKED_BYTE = 1 << 20

    def _try_lock(file: IO[bytes], *, shared: bool) -> bool:
        if shared:
            return True  # there is no such lock there
        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(_LOCKED_BYTE)
        with suppress(OSError):  # a shared one is not locked
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[bytes], *, shared: bool) -> bool:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def _in_use(data: Path, file: IO[bytes]) -> StartFailed:
    running = running_server(data)
    if running is not None:
        return StartFailed(
            "DeploymentInUse",
            f"this deployment is already served by process {running.pid} at {running.url}",
            hint=f"use the one that runs, or stop it: kill {running.pid}",
        )
    file.seek(0)
    owner = file.read(32).strip().decode("ascii", "replace") or "unknown"
    return StartFailed(
        "DeploymentInUse",
        f"this deployment is in use by process {owner}",
        hint="wait until it has finished, then try again",
    )


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
