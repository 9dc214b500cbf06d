"""Tables of functions, routes, variables and limits: data in, finished lines out."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from pyconvex_cli.console import Terminal
from pyconvex_cli.inventory import FunctionInfo, Inventory, RouteInfo, arguments_text

GAP = "   "
ELASTIC_MIN = 16
"""Below this the elastic column no longer shrinks: one line too long reads better than a letter a line."""

FUNCTION_HEADERS = ("Function", "Kind", "Arguments", "Where")
ROUTE_HEADERS = ("Route", "Method", "Handler", "Where")

_KIND_STYLES = {"query": "good", "mutation": "warn", "action": "name"}
_METHOD_STYLES = {"GET": "good", "POST": "warn", "PUT": "warn", "PATCH": "warn", "DELETE": "bad"}


class Cell(NamedTuple):
    text: str
    style: str = ""


def inventory_tables(inventory: Inventory, terminal: Terminal) -> list[str]:
    """The table of functions and the table of routes, in one set of columns where the terminal has room for it."""
    functions, routes = _function_rows(inventory.functions), _route_rows(inventory.routes)
    if not (functions and routes):
        return function_table(inventory.functions, terminal) or route_table(inventory.routes, terminal)
    both = [_header_row(FUNCTION_HEADERS), *functions, _header_row(ROUTE_HEADERS), *routes]
    fits = sum(_widths(both)) + 3 * len(GAP) <= terminal.width
    beside = both if fits else ()
    return [
        *table(FUNCTION_HEADERS, functions, terminal, elastic=2, beside=beside),
        "",
        *table(ROUTE_HEADERS, routes, terminal, elastic=2, beside=beside),
    ]


def function_table(functions: Sequence[FunctionInfo], terminal: Terminal) -> list[str]:
    """The functions with kind, arguments and place."""
    return table(FUNCTION_HEADERS, _function_rows(functions), terminal, elastic=2)


def route_table(routes: Sequence[RouteInfo], terminal: Terminal) -> list[str]:
    """The routes in the order they were given, with method, handler and place."""
    return table(ROUTE_HEADERS, _route_rows(routes), terminal, elastic=2)


def _function_rows(functions: Sequence[FunctionInfo]) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(each.path),
            Cell(each.kind_words, _KIND_STYLES.get(each.kind, "")),
            Cell(arguments_text(each.args)),
            Cell(within_functions(each.place), "muted"),
        )
        for each in functions
    ]


def _route_rows(routes: Sequence[RouteInfo]) -> list[tuple[Cell, ...]]:
    return [
        (
            Cell(each.path),
            Cell(each.method, _METHOD_STYLES.get(each.method, "")),
            Cell(each.handler),
            Cell(within_functions(each.place), "muted"),
        )
        for each in routes
    ]


def within_functions(place: str) -> str:
    """`convex/http.py:7` → `http.py:7`: in a table of functions everybody knows the folder."""
    return place.partition("/")[2] or place


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    terminal: Terminal,
    *,
    elastic: int,
    beside: Sequence[Sequence[Cell]] = (),
) -> list[str]:
    """Columns under `headers`, as wide as their longest cell; nothing at all without rows.

    Column `elastic` wraps where the terminal is narrow. `beside` are further rows that share the columns.
    """
    if not rows:
        return []
    all_rows = [_header_row(headers), *rows]
    widths = _widths([*all_rows, *beside])
    others = sum(widths) - widths[elastic] + len(GAP) * (len(widths) - 1)
    room = max(terminal.width - others, ELASTIC_MIN)
    if widths[elastic] > room:
        widths[elastic] = max(cell_len(part) for row in all_rows for part in _wrapped(row[elastic].text, room))
    return [line for row in all_rows for line in _row_lines(row, widths, terminal, elastic)]


def _header_row(headers: Sequence[str]) -> list[Cell]:
    return [Cell(header, "muted") for header in headers]


def _widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [max(cell_len(cell.text) for cell in column) for column in zip(*rows, strict=True)]


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
