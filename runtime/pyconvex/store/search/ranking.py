"""The order of a search's results: best first.

BM25 in the form that bounds every match from below (BM25+, Lv and Zhai 2011), with the frequencies of terms taken
over the candidates themselves: so the order depends on nothing but documents that match, and the keys a live query
depends on say all that can change its result.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import log
from typing import Final, NamedTuple

from .terms import SearchTerms

_SATURATION: Final = 1.2
"""BM25's k1: how soon more occurrences of a term stop to matter."""
_LENGTH_WEIGHT: Final = 0.75
"""BM25's b: how much a long text has to say a term more often."""
_EXACT_LEAST: Final = 1.0
"""BM25+'s delta. A word that only begins with the term scores less than this, so exact matches come first."""
_PROXIMITY: Final = 0.5
"""What two neighbours of the query are worth as neighbours in the text, in shares of the lesser one's weight."""


class Ranked(NamedTuple):
    score: float
    key: bytes


class _Features(NamedTuple):
    """What counts of one candidate. Terms are numbered as in the query."""

    key: bytes
    length: int
    exact: tuple[int, ...]
    """How often each term occurs."""
    prefixed: int
    """How often words occur that begin with the last term and are longer."""
    distances: tuple[float, ...]
    """How near each term comes to the next one of the query, in words; infinite when one of the two is missing."""


class Ranking:
    """Collects the candidates of one search and orders them."""

    def __init__(self, terms: SearchTerms) -> None:
        self._terms = terms
        # The prefix is the last of the exact terms, unless the query repeats an earlier one at its end.
        self._prefix_at = terms.exact.index(terms.prefix)
        self._candidates: list[_Features] = []

    def add(self, key: bytes, text: str) -> None:
        """Add a candidate: its key in `by_creation_time`, and its terms with a space between two."""
        padded = f" {text} "
        positions = [list(_positions(padded, f" {term} ")) for term in self._terms.exact]
        prefixed = list(_positions(padded, f" {self._terms.prefix}"))
        exact = tuple(map(len, positions))
        longer = len(prefixed) - exact[self._prefix_at]
        positions[self._prefix_at] = prefixed
        distances = tuple(_distance(left, right) for left, right in pairwise(positions))
        self._candidates.append(_Features(key, text.count(" ") + 1, exact, longer, distances))

    def ordered(self) -> list[Ranked]:
        """The candidates, best first; of equal ones the newer first."""
        if not self._candidates:
            return []
        weights = self._weights()
        usual = sum(candidate.length for candidate in self._candidates) / len(self._candidates)
        ranked = [Ranked(self._score(candidate, weights, usual), candidate.key) for candidate in self._candidates]
        ranked.sort(key=lambda one: one.key, reverse=True)
        ranked.sort(key=lambda one: -one.score)
        return ranked

    def _weights(self) -> list[float]:
        """How much each term says: the fewer candidates have it, the more."""
        count = len(self._candidates)
        having = [
            sum(candidate.exact[at] > 0 for candidate in self._candidates) for at in range(len(self._terms.exact))
        ]
        having[self._prefix_at] = sum(
            candidate.exact[self._prefix_at] + candidate.prefixed > 0 for candidate in self._candidates
        )
        return [log(1 + (count - number + 0.5) / (number + 0.5)) for number in having]

    def _score(self, candidate: _Features, weights: Sequence[float], usual: float) -> float:
        slowness = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * candidate.length / usual)
        score = 0.0
        for weight, times in zip(weights, candidate.exact, strict=True):
            if times:
                score += weight * (_EXACT_LEAST + (_SATURATION + 1) * times / (times + slowness))
        if candidate.prefixed and not candidate.exact[self._prefix_at]:
            score += weights[self._prefix_at] * _EXACT_LEAST * candidate.prefixed / (candidate.prefixed + slowness)
        for (left, right), distance in zip(pairwise(weights), candidate.distances, strict=True):
            score += _PROXIMITY * min(left, right) / distance
        return score


def _positions(padded: str, sought: str) -> Iterator[int]:
    """At which words the sought one stands; it begins with a space, and ends with one if it is a whole word."""
    word = behind = 0
    at = padded.find(sought)
    while at >= 0:
        word += padded.count(" ", behind, at)
        yield word
        behind = at
        at = padded.find(sought, at + 1)


def _distance(left: Sequence[int], right: Sequence[int]) -> float:
    """How far apart the nearest two are; infinitely far when there are no two. A word is not its own neighbour."""
    nearest = float("inf")
    i = j = 0
    while i < len(left) and j < len(right):
        nearest = min(nearest, abs(left[i] - right[j]) or nearest)
        if left[i] < right[j]:
            i += 1
        else:
            j += 1
    return nearest
