"""Whether a person is looking at the program through a debugger: then nothing is too slow."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import cast


def attached(frame: FrameType | None) -> bool:
    """Whether a debugger follows the stack below `frame`, or the whole process.

    Coverage and profilers trace too and do not count: only `bdb` (pdb and what is built on it), pydevd
    (PyCharm, VS Code) and a tool registered as `sys.monitoring`'s debugger (3.12+) do.
    """
    if "pydevd" in sys.modules or _monitored():
        return True
    return any(_is_bdb(level) for level in stack(frame))


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames from `frame` outwards."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_bdb(frame: FrameType) -> bool:
    bdb = sys.modules.get("bdb")
    if bdb is None:
        return False  # nobody who debugs with it has begun
    traced_by = getattr(frame.f_trace, "__self__", None)
    return isinstance(traced_by, bdb.Bdb) or frame.f_code.co_filename == bdb.__file__


def _monitored() -> bool:
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return False
    tool_of = cast("Callable[[int], str | None]", monitoring.get_tool)
    return tool_of(cast("int", monitoring.DEBUGGER_ID)) is not None
