"""What a function read and wrote, for `pyconvex run --report`: the deployment's JSON in, finished lines out."""

from collections.abc import Iterator
from typing import Any

from pyconvex_cli.console import Terminal, harmless
from pyconvex_cli.tables import Cell, table
from pyconvex_cli.wording import counted, duration, size

READ_HEADERS = ("Read", "Range", "Documents", "Bytes", "Times")
WRITE_HEADERS = ("Wrote", "Document", "Bytes")
LIMIT_HEADERS = ("Limit", "Used", "Of", "Share")

_NEAR = 0.8
_HIGH = 0.5


def report_lines(report: dict[str, Any], terminal: Terminal) -> list[str]:
    """The report of a function, then those of the functions that an action ran."""
    return [line for each in _flat(report) for line in _one(each, terminal)]


def _flat(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield report
    for call in report["calls"]:
        yield from _flat(call)


def _one(report: dict[str, Any], terminal: Terminal) -> Iterator[str]:
    paint = terminal.paint
    retries = report["retries"]
    again = f", run again {counted(retries, 'time')}" if retries else ""
    yield f"{paint('strong', report['function'])} {paint('muted', report['kind'] + again)}"
    yield from _section(table(READ_HEADERS, [_read(each) for each in report["reads"]], terminal, elastic=1))
    yield from _section(table(WRITE_HEADERS, [_write(each) for each in report["writes"]], terminal, elastic=1))
    yield from _section(table(LIMIT_HEADERS, [_limit(each) for each in report["limits"]], terminal, elastic=0))
    yield from _section(list(_surroundings(report, terminal)))
    yield ""


def _section(lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield from (f"  {line}" for line in lines)


def _read(read: dict[str, Any]) -> tuple[Cell, ...]:
    return (
        Cell(f"{read['table']}.{read['index']}", "name"),
        Cell(harmless(read["range"])),
        Cell(_count(read["documents"])),
        Cell(_count(read["bytes"])),
        Cell(_count(read["times"]), "muted" if read["times"] == 1 else ""),
    )


def _write(write: dict[str, Any]) -> tuple[Cell, ...]:
    return (
        Cell(f"{write['operation']} {write['table']}", "warn"),
        Cell(write["id"]),
        Cell(_count(write["bytes"]) if write["operation"] != "delete" else ""),
    )


def _limit(limit: dict[str, Any]) -> tuple[Cell, ...]:
    share = limit["used"] / limit["limit"]
    shown = {"seconds": duration, "bytes": size}.get(limit["unit"], _count)
    return (
        Cell(limit["name"]),
        Cell(shown(limit["used"])),
        Cell(shown(limit["limit"])),
        Cell(f"{share:.1%}", "bad" if share > _NEAR else "warn" if share > _HIGH else ""),
    )


def _surroundings(report: dict[str, Any], terminal: Terminal) -> Iterator[str]:
    muted = terminal.paint("muted", "also read")
    if report["environmentVariables"]:
        yield f"{muted} environment variables {', '.join(report['environmentVariables'])}"
    if report["timeRead"]:
        yield f"{muted} the time"


def _count(number: int) -> str:
    return f"{number:,}"
