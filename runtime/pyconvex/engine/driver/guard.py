"""What a query or mutation may not touch: sockets, processes, threads, and files that are not program text.

An audit hook sees every attempt in the process; it acts only while a handler's own frames run, which is while
a `TimeLimit.guard` is on this thread's stack and no `trusted()` above it. It can never be removed, so there is one.
"""

import functools
import linecache
import mimetypes
import os
import site
import sys
import sysconfig
import threading
import tokenize
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pyconvex
from pyconvex.engine.driver import debugger
from pyconvex.errors import DeveloperError

from .time_limit import TimeLimit, alarm, here


class NotInQueriesOrMutations(DeveloperError):
    """Something that only actions may use. Handlers may catch it.

    https://docs.convex.dev/functions/runtimes#restrictions-on-queries-and-mutations
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            "NotInQueriesOrMutations",
            f"Can't use {what} in queries and mutations. Please consider using an action.",
            hint="move this to an action, and call it from there with `ctx.run_query` or `ctx.run_mutation`",
        )


def install(sources: Iterable[Path] = ()) -> None:
    """Install the hook, once per process; from then on Python files below `sources` may be read too."""
    for folder in sources:
        _source_folders.update(_both_forms(os.fspath(folder)))
    _install_once()


def is_library(filename: str) -> bool:
    """Whether code of this file is Python's, an installed package's or pyconvex's, and not the user's own."""
    return filename.startswith("<frozen ") or _below(filename, _library_folders()) or _below(filename, _OWN_FOLDERS)


# --- what is refused

_Check = Callable[[str, tuple[Any, ...]], None]


def _refuse(what: str) -> _Check:
    def check(_event: str, _args: tuple[Any, ...]) -> None:
        if not _importing():
            raise NotInQueriesOrMutations(what)

    return check


def _check_open(_event: str, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    if _opens_for_writing(mode, flags) or not _readable(path):
        _refuse_files()


def _check_listing(_event: str, args: tuple[Any, ...]) -> None:
    if not args or args[0] is None or not _readable(args[0]):
        _refuse_files()


def _check_sqlite(_event: str, args: tuple[Any, ...]) -> None:
    if args[0] != ":memory:":
        _refuse_files()


def _refuse_files() -> None:
    if not _importing() and not _reading_source():
        raise NotInQueriesOrMutations("files")


_REFUSED = {
    "sockets": "socket.__new__ socket.bind socket.connect socket.sendto socket.sendmsg socket.getaddrinfo "
    "socket.gethostbyname socket.gethostbyaddr socket.gethostname socket.getnameinfo",
    "urllib.request": "urllib.Request",
    "processes": "subprocess.Popen os.system os.exec os.fork os.forkpty os.posix_spawn os.spawn os.startfile "
    "pty.spawn os.kill os.killpg signal.pthread_kill",
    "threads": "_thread.start_new_thread _thread.start_joinable_thread",
    "input()": "builtins.input",
    "files": "os.chdir os.chflags os.chmod os.chown os.link os.mkdir os.remove os.rename os.rmdir os.symlink "
    "os.truncate os.utime",
}

_CHECKS: dict[str, _Check] = {event: _refuse(what) for what, events in _REFUSED.items() for event in events.split()} | {
    "open": _check_open,
    "os.listdir": _check_listing,
    "os.scandir": _check_listing,
    "sqlite3.connect": _check_sqlite,
}


def _opens_for_writing(mode: str | None, flags: int) -> bool:
    if mode is not None:
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


# --- what may be read

_OWN_FOLDERS = (str(Path(pyconvex.__file__).parent),)
_source_folders: set[str] = set()


@functools.cache
def _library_folders() -> tuple[str, ...]:
    """Python's own library and the installed packages."""
    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders = [*named, *site.getsitepackages(), site.getusersitepackages()]
    return tuple({form for folder in folders for form in _both_forms(folder)})


@functools.cache
def _data_places() -> tuple[str, ...]:
    """Time zones and MIME types, which are the machine's and as good as constant."""
    places = (*zoneinfo.TZPATH, "/etc/localtime", "/etc/timezone", *mimetypes.knownfiles)
    return tuple(os.fspath(place) for place in places)


def _readable(path: object) -> bool:
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str):
        return False  # a file descriptor: it stands for a file that was opened elsewhere
    name = _absolute(path)
    if _below(name, _library_folders()) or _below(name, _data_places()):
        return True
    return name.endswith(".py") and _below(name, (*_OWN_FOLDERS, *_source_folders, *filter(None, sys.path)))


def _absolute(path: str) -> str:
    return os.path.normpath(Path.cwd() / path)


def _both_forms(path: str) -> tuple[str, str]:
    """As written and with links followed: packages are often links, and so is `/tmp` on a Mac."""
    return _absolute(path), os.path.realpath(path)


def _below(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(place.rstrip(os.sep) + os.sep) for place in places)


def _importing() -> bool:
    """Whether the handler is in the middle of an import: modules are the program, not its data."""
    return any(frame.f_code.co_filename.startswith("<frozen importlib") for frame in _handlers_frames())


def _reading_source() -> bool:
    """Whether `linecache` or `tokenize` reads lines for a traceback."""
    return any(frame.f_code.co_filename in (linecache.__file__, tokenize.__file__) for frame in _handlers_frames())


def _handlers_frames() -> Iterator[FrameType]:
    """The frames on top of the guard; what is below it may well be an import itself."""
    for frame in debugger.stack(sys._getframe(1)):  # pyright: ignore[reportPrivateUsage]  # documented, and there is no other
        if frame.f_code is TimeLimit.guard.__code__:
            return
        yield frame


# --- the hook


@functools.cache
def _install_once() -> None:
    _library_folders()
    _data_places()
    if sys.version_info < (3, 12):
        _watch_thread_start()
    sys.addaudithook(_make_hook())


def _make_hook() -> Callable[[str, tuple[Any, ...]], None]:
    # Bound here, for at exit the hook outlives the module's globals.
    find, thread, stop_alarm = _CHECKS.get, here, alarm.stop

    def hook(event: str, args: tuple[Any, ...]) -> None:
        check = find(event)
        if check is None:
            return
        if thread.limit is not None and not thread.shield:
            check(event, args)
        elif event == "os.exec":
            stop_alarm()  # the timer would outlive this program, and its signal kill the next one

    return hook


def _watch_thread_start() -> None:
    """Python 3.11 raises no event for a new thread."""
    start = threading.Thread.start

    @functools.wraps(start)
    def watched_start(self: threading.Thread) -> None:
        if here.limit is not None and not here.shield:
            _CHECKS["_thread.start_new_thread"]("", ())
        start(self)

    threading.Thread.start = watched_start
