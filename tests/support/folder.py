"""A functions folder in a temporary project, loaded for real."""

import textwrap
from pathlib import Path

from pyconvex.errors import LoadFailed, Problem
from pyconvex.loading.loader import Loaded, Loader
from pyconvex.settings import Limits


class FunctionsFolder:
    """`my_app/convex` below a temporary folder; what it loads is retired when the test ends."""

    def __init__(self, tmp_path: Path, *, seconds: float = 10.0) -> None:
        self.root = tmp_path / "my_app"
        self.path = self.root / "convex"
        self.path.mkdir(parents=True)
        self.loader = Loader(self.path, limits=Limits(load_seconds=seconds))
        self._loaded: list[Loaded] = []

    def write(self, name: str, text: str) -> Path:
        """Write a file: `messages.py`, or `../helpers.py` for one beside the folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).removeprefix("\n"))
        return path

    def load(self) -> Loaded:
        loaded = self.loader.load()
        self._loaded.append(loaded)
        return loaded

    def problems(self) -> tuple[Problem, ...]:
        """Why the folder cannot be loaded; fails when it can."""
        try:
            self.load()
        except LoadFailed as failed:
            return failed.problems
        raise AssertionError("the folder loads without a problem")

    def problem(self) -> Problem:
        """The only problem of the folder."""
        problems = self.problems()
        assert len(problems) == 1, problems
        return problems[0]

    def retire(self) -> None:
        for loaded in self._loaded:
            loaded.retire()


def seen(problem: Problem) -> tuple[str, str, str | None, str | None]:
    """What a user reads of a problem: code, message, place, hint."""
    return problem.code, problem.message, None if problem.place is None else str(problem.place), problem.hint
