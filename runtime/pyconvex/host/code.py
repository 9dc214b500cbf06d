"""What tells one version of the code from another, for processes that share a database."""

import hashlib
from contextlib import suppress
from pathlib import Path

from pyconvex import __version__
from pyconvex.loading.loader import Loaded


def code_digest(loaded: Loaded, project: Path) -> str:
    """Equal where the functions, the project's other files that they import, and pyconvex itself are equal."""
    digest = hashlib.sha256(__version__.encode())
    parts = dict(loaded.registry.hashes)
    for path in loaded.outside:
        with suppress(OSError, ValueError):
            parts[path.relative_to(project).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    for name, text in sorted(parts.items()):
        digest.update(f"\0{name}\0{text}".encode())
    return digest.hexdigest()
