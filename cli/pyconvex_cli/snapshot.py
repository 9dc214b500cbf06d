"""What the functions folder holds at one moment, as far as the file system tells without reading."""

import contextlib
from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int]
"""Time of the last change (ns), size, inode."""


def snapshot(functions: Path) -> dict[Path, Stamp]:
    """What would show that a module was saved, made or deleted."""
    stamps: dict[Path, Stamp] = {}
    for path in functions.rglob("*.py"):
        with contextlib.suppress(OSError):
            status = path.stat()
            stamps[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return stamps
