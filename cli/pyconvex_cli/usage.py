"""What was typed wrong, other than what the parser finds by itself."""

from collections.abc import Iterable

from pyconvex.errors import PyconvexError


class WrongUsage(PyconvexError):
    """What was typed cannot be done (exit code 2)."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__("WrongUsage", message, hint=hint)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest of the known words, if one is near."""
    import difflib  # 3 ms that only a typing error costs

    near = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean {near[0]}?" if near else None
