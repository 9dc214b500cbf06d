"""The starters of `pyconvex init`: one folder each, listed by their README's first two lines.

Dotfiles are stored as `dot-gitignore`, because a literal `.gitignore` would act on the repository that holds the
templates. A template is written for a project called `PLACEHOLDER`; `files_for` puts the real name in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PLACEHOLDER = "pyconvex-project"
DEFAULT = "messages"
_FOLDER = Path(__file__).parent
_NOT_PART = {"__pycache__", ".pyconvex", ".pytest_cache", ".ruff_cache", ".env.local", "node_modules", "dist"}


@dataclass(frozen=True, slots=True)
class Template:
    """One starter; `about` is the sentence below its README's title."""

    name: str
    about: str
    folder: Path

    def files_for(self, project: str) -> Mapping[str, str]:
        """The text of every file by its path in the project, for a project of that name."""
        return {
            _project_path(path.relative_to(self.folder)): path.read_text(encoding="utf-8").replace(PLACEHOLDER, project)
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and _NOT_PART.isdisjoint(path.relative_to(self.folder).parts)
        }


def templates() -> Mapping[str, Template]:
    """All starters by name."""
    folders = (each for each in sorted(_FOLDER.iterdir()) if (each / "README.md").is_file())
    return {folder.name: Template(folder.name, _about(folder / "README.md"), folder) for folder in folders}


def _about(readme: Path) -> str:
    lines = [line for line in readme.read_text(encoding="utf-8").splitlines() if line.strip()]
    return lines[1].strip()


def _project_path(path: Path) -> str:
    parts = ("." + part.removeprefix("dot-") if part.startswith("dot-") else part for part in path.parts)
    return "/".join(parts)
