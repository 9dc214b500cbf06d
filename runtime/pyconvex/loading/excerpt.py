from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pyconvex.errors import Place


class Line(NamedTuple):
    number: int
    text: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Excerpt:
    place: Place
    lines: tuple[Line, ...]


def excerpt(sources: Mapping[str, str], place: Place, *, before: int = 1, after: int = 1) -> Excerpt | None:
    raise NotImplementedError
