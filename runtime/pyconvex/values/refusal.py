"""How the walkers over values say what is wrong and where: raised deep inside, given its path on the way out."""

from typing import Final

from .display import display_in_error, display_path
from .kinds import InvalidValue

PATH_CHARACTERS_MAX: Final = 500


class Refusal(Exception):
    """Something that is no Convex value, before it is known where in the outer value it stands."""

    def __init__(self, problem: str, *, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.steps: list[str | int] = []

    def inside(self, step: str | int) -> "Refusal":
        """The same, `step` further out: the key or the position under which it was found."""
        self.steps.append(step)
        return self

    def of(self, original: object) -> InvalidValue:
        """The error to raise, with the path and the outer value in it."""
        where = ""
        if self.steps:
            path = display_path(reversed(self.steps))
            path = path if len(path) <= PATH_CHARACTERS_MAX else path[:PATH_CHARACTERS_MAX] + "…"
            where = f" (present at path {path} in original object {display_in_error(original)})"
        return InvalidValue(f"{self.problem}{where}", hint=self.hint)
