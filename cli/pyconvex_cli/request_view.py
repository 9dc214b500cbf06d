"""Kept requests, as the admin API gives them, to finished lines."""

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pyconvex_cli.console import Terminal, harmless
from pyconvex_cli.tables import Cell, table
from pyconvex_cli.usage import WrongUsage
from pyconvex_cli.wording import clock, counted, day_and_clock, duration, size

HEADERS = ("Id", "Time", "Method", "Path", "Status", "Took", "Size", "")
ID_LETTERS = 8
"""How much of an id is shown in a table: it is random, and its beginning is enough for every command."""
BODY_SHOWN_MAX = 64 * 1024

Kept = Mapping[str, Any]


def matcher(*, path: str | None, method: str | None, status: str | None) -> Callable[[Kept], bool]:
    """Which requests these flags want. Raises `WrongUsage`."""
    statuses = None if status is None else _statuses(status)

    def wanted(request: Kept) -> bool:
        return (
            (path is None or path in request["path"])
            and (method is None or method.upper() == request["method"])
            and (statuses is None or statuses.fullmatch(str(request["status"])) is not None)
        )

    return wanted


def request_table(requests: Sequence[Kept], terminal: Terminal) -> list[str]:
    """The requests with id, time, method, path, status, duration and size of the body."""
    return table(HEADERS, [_row(each) for each in requests], terminal, elastic=3)


def request_lines(request: Kept, terminal: Terminal) -> Iterator[str]:
    """One request whole: what became of it, its headers, its body."""
    paint = terminal.paint
    yield f"{paint('name', request['method'])} {harmless(request['path'])} → {_status(request, terminal)}"
    for label, text in _facts(request):
        yield f"   {paint('muted', label.ljust(7))} {text}"
    yield ""
    for name, value in request["headers"]:
        yield f"   {paint('muted', harmless(name) + ':')} {harmless(value)}"
    body = b64decode(request["body"])
    if body:
        yield ""
        yield from (f"   {line}" for line in body_lines(body))
    if not request["whole"]:
        yield ""
        yield "   " + paint("warn", f"only {counted(len(body), 'byte')} of the body are kept")


def body_lines(body: bytes) -> list[str]:
    """A body for people: JSON indented, text as it is, anything else only counted."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return [f"({size(len(body))}, not text)"]
    if len(body) <= BODY_SHOWN_MAX:
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return harmless(text).splitlines()


def with_body_text(request: Kept) -> dict[str, Any]:
    """For programs: `body` as text, or `bodyBase64` when it is none."""
    shown = {name: value for name, value in request.items() if name != "body"}
    try:
        return {**shown, "body": b64decode(request["body"]).decode()}
    except UnicodeDecodeError:
        return {**shown, "bodyBase64": request["body"]}


def answered(status: int) -> str:
    """`200`, or what to say when there was no answer."""
    return str(status) if status else "none"


def took(request: Kept) -> str:
    """How long it took, or that it goes on."""
    return "…" if request["tookMs"] is None else duration(request["tookMs"] / 1000)


def _statuses(text: str) -> re.Pattern[str]:
    parts = [part.strip().lower() for part in text.split(",")]
    if not all(re.fullmatch(r"[1-5](xx|\d\d)", part) for part in parts):
        raise WrongUsage(f"--status is {text!r}, but it must be like 404 or 5xx")
    return re.compile("|".join(part.replace("x", r"\d") for part in parts))


def _row(request: Kept) -> tuple[Cell, ...]:
    again = request["replayOf"]
    return (
        Cell(request["id"][:ID_LETTERS], "name"),
        Cell(_when(request["ts"] / 1000), "muted"),
        Cell(request["method"]),
        Cell(harmless(request["path"])),
        Cell(answered(request["status"]), status_style(request["status"])),
        Cell(took(request)),
        Cell(size(request["bodyBytes"]) if request["bodyBytes"] else ""),
        Cell(f"replay of {again[:ID_LETTERS]}" if again else "", "muted"),
    )


def _facts(request: Kept) -> Iterator[tuple[str, str]]:
    yield "id", request["id"]
    sender = f" from {request['client']}" if request["client"] else ""
    yield "arrived", f"{day_and_clock(request['ts'] / 1000)}{sender}, body {size(request['bodyBytes'])}"
    if request["replayOf"]:
        yield "replay", f"of {request['replayOf']}"
    yield "log", f"pyconvex logs -n 10000 --no-follow --request-id {request['id']}"


def _status(request: Kept, terminal: Terminal) -> str:
    style = status_style(request["status"])
    if request["tookMs"] is None:
        return "in progress"
    return f"{terminal.paint(style, answered(request['status']))} in {took(request)}"


def status_style(status: int) -> str:
    if not status or status >= 500:
        return "bad"
    return "warn" if status >= 400 else "name" if status >= 300 else "good"


def _when(seconds: float) -> str:
    """The time of day, with the date where that is not today."""
    today = time.strftime("%Y-%m-%d") == time.strftime("%Y-%m-%d", time.localtime(seconds))
    return clock(seconds) if today else day_and_clock(seconds)
