"""Keeping the local deployment and its secrets out of Git."""

from collections.abc import Iterable
from pathlib import Path

LINES = (".env.local", ".pyconvex/")


def missing_lines(path: Path, wanted: Iterable[str] = LINES) -> list[str]:
    """The lines of `wanted` that the .gitignore at `path` does not cover yet, in any common spelling."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return list(wanted)
    present = {_bare(line) for line in text.splitlines()}
    return [line for line in wanted if _bare(line) not in present]


def extend_gitignore(project: Path) -> list[str]:
    """Adds what is missing to an existing .gitignore, or to a new one where the project is a Git checkout.

    Answers with the lines that were added.
    """
    path = project / ".gitignore"
    if not path.exists() and not (project / ".git").exists():
        return []
    lines = missing_lines(path)
    if lines:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        gap = "\n" if text and not text.endswith("\n") else ""
        path.write_text(text + gap + "\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return lines


def _bare(line: str) -> str:
    return line.strip().strip("/")
