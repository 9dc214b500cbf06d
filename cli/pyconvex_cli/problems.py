"""Problems of a save, as text: what is wrong, where, the lines around it, and the fix."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from pyconvex.errors import Place, Problem, UnfitDocument
from pyconvex_cli.console import Terminal, harmless
from pyconvex_cli.wording import counted

if TYPE_CHECKING:
    from pyconvex.loading.excerpt import Excerpt

MARGIN = "   "
TAB = 4
SHOWN = 10
"""Problems of one save that are shown in full; a renamed module can easily cause a hundred."""


def problem_lines(
    problems: Sequence[Problem],
    excerpt: "Callable[[Place], Excerpt | None]",
    terminal: Terminal,
    *,
    warning: bool = False,
    verbose: bool = False,
) -> Iterator[str]:
    """The text of `problems`, the first `SHOWN` of them in full; `verbose` adds Python's own traceback."""
    for number, problem in enumerate(problems[:SHOWN]):
        if number:
            yield ""
        yield from _problem(problem, excerpt, terminal, warning=warning, verbose=verbose)
    if len(problems) > SHOWN:
        yield ""
        yield f"… and {counted(len(problems) - SHOWN, 'more problem')}"


def _problem(
    problem: Problem, excerpt: "Callable[[Place], Excerpt | None]", terminal: Terminal, *, warning: bool, verbose: bool
) -> Iterator[str]:
    paint = terminal.paint
    voice = f"warning[{problem.code}]:" if warning else f"error[{problem.code}]:"
    first, *rest = harmless(problem.message).splitlines() or [""]
    start, *more = _wrapped(f"{voice} {first}", terminal) or [voice]
    yield f"{paint('warn' if warning else 'loud', voice)}{paint('strong', start[len(voice) :])}"
    for line in more:
        yield paint("strong", line)
    for line in rest:
        yield f"  {line}"
    for place in filter(None, (problem.place, *problem.also)):
        yield f"{MARGIN}{paint('link', str(place))}"
        if (found := excerpt(place)) is not None:
            yield from frame_lines(place, found, terminal)
    yield from _documents(problem.documents, terminal)
    if verbose and problem.trace:
        for line in problem.trace.rstrip().splitlines():
            yield paint("muted", f"  {harmless(line)}")
    if problem.hint:
        start, *more = _wrapped(f"hint: {harmless(problem.hint)}", terminal)
        yield paint("name", "hint:") + start[5:]
        yield from more


def _documents(documents: Sequence[UnfitDocument], terminal: Terminal) -> Iterator[str]:
    """A row for each document, where there are several."""
    if len(documents) < 2:
        return
    rows = [(each.id, each.table + each.path, _first_line(each.reason)) for each in documents]
    widths = [max(cell_len(row[column]) for row in rows) for column in (0, 1)]
    for name, place, reason in rows:
        row = f"{set_cell_size(name, widths[0])}  {set_cell_size(place, widths[1])}  {reason}"
        room = terminal.width - len(MARGIN)
        yield MARGIN + (row if cell_len(row) <= room else set_cell_size(row, room - 1).rstrip() + "…")


def _first_line(reason: str) -> str:
    """What a reason says, and of which value."""
    first, *rest = harmless(reason).splitlines()
    value = next((line for line in rest if line.startswith("Value: ")), "")
    return f"{first} {value}".rstrip()


def _wrapped(text: str, terminal: Terminal) -> list[str]:
    return textwrap.wrap(text, terminal.width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def frame_lines(place: Place, found: "Excerpt", terminal: Terminal) -> Iterator[str]:
    """The lines of source around `place`, cut where the terminal ends, and the place marked."""
    paint = terminal.paint
    digits = max(len(str(line.number)) for line in found.lines)
    room = terminal.width - len(MARGIN) - digits - 3
    for line in found.lines:
        number = f"{line.number:>{digits}}"
        text = harmless(line.text.rstrip().expandtabs(TAB))
        text = text if cell_len(text) <= room else set_cell_size(text, room - 1).rstrip() + "…"
        if not line.is_marked:
            yield f"{MARGIN}{paint('muted', f'{number} │ {text}'.rstrip())}"
            continue
        yield f"{MARGIN}{paint('strong', number)} {paint('muted', '│')} {text}".rstrip()
        if place.column is not None:
            before = cell_len(line.text[: place.column - 1].expandtabs(TAB))
            if before < room:
                yield f"{MARGIN}{' ' * digits} {paint('muted', '│')} {' ' * before}{paint('bad', '^')}"
