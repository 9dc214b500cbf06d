"""Tables, to the letter, at the widths people have."""

import pytest

from pyconvex.values import v
from pyconvex_cli.console import PLAIN_WIDTH, Terminal
from pyconvex_cli.inventory import FunctionInfo, Inventory, RouteInfo
from pyconvex_cli.tables import Cell, function_table, inventory_tables, route_table, table

FUNCTIONS = [
    FunctionInfo("messages:list", "query", "public", v.object({}).json(), None, "convex/messages.py:31"),
    FunctionInfo(
        "messages:send",
        "mutation",
        "internal",
        v.object({"body": v.string(), "author": v.string(), "tags": v.array(v.string())}).json(),
        None,
        "convex/messages.py:24",
    ),
]
ROUTES = [
    RouteInfo("/postMessage", "POST", "messages:post_message", "convex/http.py:7", "exact"),
    RouteInfo("/getAuthorMessages/*", "GET", "messages:by_suffix", "convex/http.py:9", "prefix"),
]


def test_functions_and_routes_share_their_columns_where_there_is_room() -> None:
    assert inventory_tables(Inventory(FUNCTIONS, ROUTES), Terminal(False, 120)) == [
        "Function               Kind                Arguments                                          Where",
        "messages:list          query               –                                                  messages.py:31",
        "messages:send          internal mutation   body: string, author: string, tags: list[string]   messages.py:24",
        "",
        "Route                  Method              Handler                                            Where",
        "/postMessage           POST                messages:post_message                              http.py:7",
        "/getAuthorMessages/*   GET                 messages:by_suffix                                 http.py:9",
    ]


def test_on_a_narrow_terminal_arguments_wrap_at_commas() -> None:
    assert inventory_tables(Inventory(FUNCTIONS, ROUTES), Terminal(False, 80)) == [
        "Function        Kind                Arguments            Where",
        "messages:list   query               –                    messages.py:31",
        "messages:send   internal mutation   body: string,        messages.py:24",
        "                                    author: string,",
        "                                    tags: list[string]",
        "",
        "Route                  Method   Handler                 Where",
        "/postMessage           POST     messages:post_message   http.py:7",
        "/getAuthorMessages/*   GET      messages:by_suffix      http.py:9",
    ]


def test_only_what_is_there_is_shown() -> None:
    terminal = Terminal(False, 80)
    assert inventory_tables(Inventory([], []), terminal) == []
    assert inventory_tables(Inventory(FUNCTIONS, []), terminal) == function_table(FUNCTIONS, terminal)
    assert inventory_tables(Inventory([], ROUTES), terminal) == route_table(ROUTES, terminal)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = inventory_tables(Inventory(FUNCTIONS, ROUTES), Terminal(False, width))
    assert max(map(len, lines)) <= max(width, 71)  # what cannot wrap keeps its width


def test_colour_changes_nothing_but_colour() -> None:
    plain = route_table(ROUTES, Terminal(False, PLAIN_WIDTH))
    coloured = route_table(ROUTES, Terminal(True, PLAIN_WIDTH))
    assert coloured != plain
    assert [_without_colour(line) for line in coloured] == plain


def test_wide_letters_keep_the_columns() -> None:
    lines = table(
        ("Name", "Value"), [(Cell("日本"), Cell("1")), (Cell("ab"), Cell("2"))], Terminal(False, 80), elastic=1
    )
    assert lines == ["Name   Value", "日本   1", "ab     2"]


def _without_colour(line: str) -> str:
    import re

    return re.sub(r"\x1b\[[\d;]*m", "", line)
