"""Problems of a save, as text: what is wrong, where, the lines around it, and the fix."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pyconvex.errors import Place, Problem
from pyconvex_cli.console import Paint, harmless
from pyconvex_cli.wording import counted

if TYPE_CHECKING:
    from pyconvex.loading.excerpt import Excerpt

SHOWN = 10
"""Problems of one save that are shown in full; a renamed module can easily cause a hundred."""


def problem_lines(
    problems: Sequence[Problem],
    excerpt: "Callable[[Place], Excerpt | None]",
    paint: Paint,
    *,
    warning: bool = False,
    verbose: bool = False,
) -> Iterator[str]:
    """The text of `problems`, the first `SHOWN` of them in full; `verbose` adds Python's own traceback."""
    for number, problem in enumerate(problems[:SHOWN]):
        if number:
            yield ""
        yield from _problem(problem, excerpt, paint, warning=warning, verbose=verbose)
    if len(problems) > SHOWN:
        yield ""
        yield f"… and {counted(len(problems) - SHOWN, 'more problem')}"


def _problem(
    problem: Problem, excerpt: "Callable[[Place], Excerpt | None]", paint: Paint, *, warning: bool, verbose: bool
) -> Iterator[str]:
    voice = paint("warn", f"warning[{problem.code}]:") if warning else paint("loud", f"error[{problem.code}]:")
    first, *rest = harmless(problem.message).splitlines() or [""]
    yield f"{voice} {paint('strong', first)}"
    for line in rest:
        yield f"  {line}"
    for place in filter(None, (problem.place, *problem.also)):
        yield from place_lines(place, excerpt(place), paint)
    if verbose and problem.trace:
        for line in problem.trace.rstrip().splitlines():
            yield paint("muted", f"  {harmless(line)}")
    if problem.hint:
        yield f"{paint('name', 'hint:')} {harmless(problem.hint)}"


def place_lines(place: Place, found: "Excerpt | None", paint: Paint) -> Iterator[str]:
    """`file:line:column` and, where the source is at hand, a code frame with the place marked."""
    yield f"   {paint('link', str(place))}"
    if found is None:
        return
    width = max(len(str(line.number)) for line in found.lines)
    for line in found.lines:
        number = f"{line.number:>{width}}"
        text = harmless(line.text.rstrip().expandtabs(4))
        if not line.marked:
            yield f"   {paint('muted', f'{number} │')} {paint('muted', text)}".rstrip()
            continue
        yield f"   {paint('strong', number)} {paint('muted', '│')} {text}".rstrip()
        if place.column is not None:
            before = len(line.text[: place.column - 1].expandtabs(4))
            yield f"   {' ' * width} {paint('muted', '│')} {' ' * before}{paint('bad', '^')}"
