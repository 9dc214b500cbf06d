"""Writing `_generated` to disk, for editors: only what changed, and only files that are ours are removed."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path


def write_generated(functions: Path, files: Mapping[str, str]) -> list[str]:
    """Brings the folder `_generated` in `functions` up to date; answers with the names of files that changed.

    Raises `OSError`.
    """
    folder = functions / "_generated"
    changed = outdated(functions, files)
    for name in changed:
        if name not in files:
            (folder / name).unlink()
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # an editor's language server reads at any moment and must never see half a file
        fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            fresh.write_text(files[name], encoding="utf-8", newline="\n")
            fresh.replace(path)
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink()
    return changed


def outdated(functions: Path, files: Mapping[str, str]) -> list[str]:
    """The names of generated files that are missing, different or no longer wanted."""
    folder = functions / "_generated"
    stale = [path.name for path in folder.glob("*.py*") if path.is_file() and path.name not in files]
    return sorted([name for name, text in files.items() if _read(folder / name) != text] + stale)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
