"""The lines of source around a place, for a code frame."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from pyconvex.errors import Place


class Line(NamedTuple):
    number: int
    text: str
    is_marked: bool


class Excerpt(Struct, frozen=True):
    """Some lines of a file, one of which is the `place`."""

    place: Place
    lines: tuple[Line, ...]


def excerpt(sources: Mapping[str, str], place: Place, *, before: int = 1, after: int = 1) -> Excerpt | None:
    """The line of `place` with `before` and `after` lines around it; None when the text is not known.

    Args:
        sources: texts by file name relative to the project: those of a registry for what it raised, those of the loader
            for what it could not load. Never the disk, which may be newer.
    """
    text = sources.get(place.file)
    if text is None:
        return None
    lines = text.split("\n")
    if lines[-1] == "" and len(lines) > 1:
        lines.pop()
    if not 1 <= place.line <= len(lines):
        return None
    first = max(1, place.line - before)
    last = min(len(lines), place.line + after)
    shown = (Line(number, _plain(lines[number - 1]), number == place.line) for number in range(first, last + 1))
    return Excerpt(place, tuple(shown))


def _plain(line: str) -> str:
    """Without what a terminal would act on; tabs and everything else keep their column."""
    return "".join(letter if letter.isprintable() or letter == "\t" else " " for letter in line)
