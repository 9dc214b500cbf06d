"""Alternating rounds, ratios per round, and the table they end in."""

import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    limit: float
    at_least: bool = False

    def met(self, figure: float) -> bool:
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure, the goal it has, and the raw medians behind it."""

    name: str
    figure: float
    goal: Goal | None
    raw: str
    unit: str = "×"

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "met" if self.goal.met(self.figure) else "missed"


Samples = dict[str, list[float]]


def alternate(rounds: int, cases: Mapping[str, Callable[[], float]]) -> Samples:
    """Measure every case once per round, in turn, so that a slow minute of the machine hits all of them."""
    samples: Samples = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measure in cases.items():
            samples[name].append(measure())
    return samples


async def alternate_async(rounds: int, cases: Mapping[str, Callable[[], Awaitable[float]]]) -> Samples:
    """As `alternate`, for what is measured on an event loop."""
    samples: Samples = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measure in cases.items():
            samples[name].append(await measure())
    return samples


def ratio(samples: Samples, name: str, base: str) -> float:
    """The median of the ratios taken round by round."""
    return statistics.median(a / b for a, b in zip(samples[name], samples[base], strict=True))


def raw(samples: Samples, unit: str, digits: int = 0) -> str:
    """The median, smallest and largest sample of every case."""
    return ", ".join(
        f"{name} {statistics.median(values):,.{digits}f} {unit} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"
        for name, values in samples.items()
    )


def print_rows(title: str, rows: list[Row]) -> None:
    width = max(len(row.name) for row in rows)
    print(f"\n{title}")
    for row in rows:
        goal = "" if row.goal is None else f"goal {row.goal} {row.unit}"
        print(
            f"  {row.name:<{width}}  {row.figure:>8.3g} {row.unit:<3} {goal:<14} {row.verdict:<7} {row.raw}", flush=True
        )
