"""What functions write: `print`, `logging`, and whatever libraries send to standard output, becomes log lines.

Outside of a function everything goes where it always went.
"""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TextIO

from pyconvex.engine.execution import current
from pyconvex.engine.failures import user_file
from pyconvex.engine.logs.logs import Level
from pyconvex.values.display import display


def function_print(
    *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    """The `print` of user modules: one log line, each argument shown as Convex shows it.

    To `sys.stderr` it is a line of level ERROR. To any other file, and outside of a function, it is Python's own.
    """
    execution = current.get()
    if execution is None or (file is not None and file is not sys.stdout and file is not sys.stderr):
        builtins.print(*values, sep=sep, end=end, file=file, flush=flush)
        return
    level = Level.ERROR if file is not None and file is sys.stderr else Level.LOG
    plain = (" " if sep is None else sep).join(map(_plain, values))
    execution.lines.add(level, [display(value) for value in values], plain=plain, path=execution.udf_path)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else display(value)


class FunctionStream:
    """Standard output for libraries that write to it themselves: whole lines of a function are its log lines."""

    def __init__(self, stream: TextIO, level: Level) -> None:
        self._stream = stream
        self._level = level

    def write(self, text: str) -> int:
        execution = current.get()
        if execution is None:
            return self._stream.write(text)
        execution.lines.write(self._level, text, path=execution.udf_path)
        return len(text)

    def flush(self) -> None:
        if current.get() is None:
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_LEVELS: Final = ((logging.ERROR, Level.ERROR), (logging.WARNING, Level.WARN), (logging.INFO, Level.INFO))


class FunctionHandler(logging.Handler):
    """Records of the standard library's `logging` that come up inside a function.

    Below WARNING only those of the project's own files count: what libraries have to say at INFO is for nobody.
    """

    def emit(self, record: logging.LogRecord) -> None:
        execution = current.get()
        if execution is None:
            if len(logging.root.handlers) == 1 and logging.lastResort and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)  # as Python does where nobody has configured anything
            return
        if record.levelno < logging.WARNING and user_file(record.pathname, str(execution.registry.root)) is None:
            return
        try:
            text = self.format(record)
        except Exception:
            self.handleError(record)
            return
        level = next((level for least, level in _LEVELS if record.levelno >= least), Level.DEBUG)
        execution.lines.add(level, [display(text)], plain=text, path=execution.udf_path)


@contextmanager
def captured() -> Generator[None]:
    """While inside the `with`, functions of this process write into their logs. Meant for the life of a deployment.

    Several deployments of one process share the capture, which ends with the last of them.
    """
    _captures.append(_capture() if not _captures else _captures[0])
    try:
        yield
    finally:
        restore = _captures.pop()
        if not _captures:
            restore()


_captures: list[Callable[[], None]] = []


def _capture() -> Callable[[], None]:
    """Puts the streams and the handler in place; what it answers gives back what was there."""
    out, err, root = sys.stdout, sys.stderr, logging.getLogger()
    streams = FunctionStream(out, Level.LOG), FunctionStream(err, Level.ERROR)
    handler, level = FunctionHandler(), root.level
    sys.stdout, sys.stderr = streams  # type: ignore[assignment]  # it has what a text stream has
    root.addHandler(handler)
    if level == logging.WARNING:  # nobody chose one: then `logging.info` in a function is heard
        root.setLevel(logging.DEBUG)

    def restore() -> None:
        root.removeHandler(handler)
        if root.level == logging.DEBUG and level == logging.WARNING:
            root.setLevel(level)
        if sys.stdout is streams[0]:
            sys.stdout = out
        if sys.stderr is streams[1]:
            sys.stderr = err

    return restore
