"""Tables of functions, routes, variables and limits: data in, finished lines out."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pyconvex_cli.console import Terminal
from pyconvex_cli.inventory import FunctionInfo, RouteInfo, arguments_text
from rich.cells import cell_len

GAP = "   "
ELASTIC_MIN = 16
"""Below this the elastic column no longer shrinks: a line too long for the terminal reads better than a letter a line."""

_KIND_STYLES = {"query": "good", "mutation": "warn", "action": "name"}
_METHOD_STYLES = {"GET": "good", "POST": "warn", "PUT": "warn", "PATCH": "warn", "DELETE": "bad"}


class Cell(NamedTuple):
    text: str
    style: str = ""


def function_table(functions: Sequence[FunctionInfo], terminal: Terminal) -> list[str]:
    """The functions with kind, arguments and place."""
    rows = [
        (
            Cell(each.path),
            Cell(each.kind_words, _KIND_STYLES.get(each.kind, "")),
            Cell("no route leads to it" if each.kind == "http_action" else arguments_text(each.args)),
            Cell(within_functions(each.place), "muted"),
        )
        for each in functions
    ]
    return table(("Function", "Kind", "Arguments", "Where"), rows, terminal, elastic=2)


def route_table(routes: Sequence[RouteInfo], terminal: Terminal) -> list[str]:
    """The routes in the order they were given, with method, handler and place."""
    rows = [
        (
            Cell(each.path),
            Cell(each.method, _METHOD_STYLES.get(each.method, "")),
            Cell(each.handler),
            Cell(within_functions(each.place), "muted"),
        )
        for each in routes
    ]
    return table(("Route", "Method", "Handler", "Where"), rows, terminal, elastic=2)


def within_functions(place: str) -> str:
    """`convex/http.py:7` → `http.py:7`: in a table of functions everybody knows the folder."""
    return place.partition("/")[2] or place


def table(headers: Sequence[str], rows: Iterable[Sequence[Cell]], terminal: Terminal, *, elastic: int) -> list[str]:
    """Columns under `headers`, as wide as their longest cell; column `elastic` wraps where the terminal is narrow."""
    all_rows = [[Cell(header, "muted") for header in headers], *rows]
    widths = [max(cell_len(row[number].text) for row in all_rows) for number in range(len(headers))]
    others = sum(widths) - widths[elastic] + len(GAP) * (len(widths) - 1)
    widths[elastic] = min(widths[elastic], max(terminal.width - others, ELASTIC_MIN))
    return [line for row in all_rows for line in _row_lines(row, widths, terminal, elastic)]


def _row_lines(row: Sequence[Cell], widths: Sequence[int], terminal: Terminal, elastic: int) -> Iterator[str]:
    for number, part in enumerate(_wrapped(row[elastic].text, widths[elastic])):
        cells = [Cell("", cell.style) if number else cell for cell in row]
        cells[elastic] = Cell(part, row[elastic].style)
        *inner, last = zip(cells, widths, strict=True)
        pieces = [_painted(cell, terminal) + " " * (width - cell_len(cell.text)) for cell, width in inner]
        yield GAP.join([*pieces, _painted(last[0], terminal)]).rstrip()


def _painted(cell: Cell, terminal: Terminal) -> str:
    return terminal.paint(cell.style, cell.text) if cell.style else cell.text


def _wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken after commas where that is possible."""
    lines = [""]
    for piece in text.replace(", ", ",\0").split("\0"):
        joined = f"{lines[-1]} {piece}".lstrip()
        if cell_len(joined) <= width:
            lines[-1] = joined
            continue
        broken = textwrap.wrap(piece, width, break_on_hyphens=False) or [""]
        lines = [*filter(None, lines), *broken]
    return lines
