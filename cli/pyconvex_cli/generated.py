"""Writing `_generated` to disk, for editors: only what changed, and only files that pyconvex wrote are removed."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from pyconvex.loading.codegen.generated import MARK, MARK_JS

_KINDS = ("*.py", "*.pyi", "*.js", "*.d.ts")


def write_generated(functions: Path, files: Mapping[str, str], *, complete: bool = True) -> list[str]:
    """Brings the folder `_generated` in `functions` up to date; answers with the names of files that changed.

    Arguments:
        complete: whether `files` are all there should be, so that others are removed.

    Raises `OSError`.
    """
    folder = functions / "_generated"
    changed = [name for name in outdated(functions, files) if complete or name in files]
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
    """The names of generated files that are missing, different or no longer wanted.

    Files that do not say that pyconvex generated them are somebody else's.
    """
    folder = functions / "_generated"
    others = [path for kind in _KINDS for path in folder.glob(kind) if path.is_file() and path.name not in files]
    stale = [path.name for path in others if (_read(path) or "").startswith((MARK, MARK_JS))]
    return sorted([name for name, text in files.items() if _read(folder / name) != text] + stale)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
