"""Which log entries somebody wants to see. Pure: text from the command line in, a predicate out."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pyconvex_cli.usage import WrongUsage

if TYPE_CHECKING:
    from pyconvex.engine.logs.logs import Completion, LogEntry

LEVELS = ("DEBUG", "INFO", "LOG", "WARN", "ERROR")
KINDS = {"query": "Query", "mutation": "Mutation", "action": "Action", "http": "HttpAction"}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class BadFilter(WrongUsage):
    """A filter that cannot be understood."""


class LogFilter(Struct, frozen=True, kw_only=True):
    """What an entry must be like; None wants nothing. The texts are those of the command line, already checked."""

    function: str | None = None
    kind: str | None = None
    level: str | None = None
    status: Callable[["Completion"], bool] | None = None
    request_id: str | None = None
    pattern: re.Pattern[str] | None = None
    success: bool | None = None

    @property
    def is_empty(self) -> bool:
        return self == LogFilter()

    def apply(self, entry: "LogEntry") -> "LogEntry | None":
        """`entry` with the lines that are wanted, or None."""
        if self.level is not None:
            entry = _with_lines_from(entry, LEVELS.index(self.level))
        return entry if self._wants(entry) else None

    def _wants(self, entry: "LogEntry") -> bool:
        from pyconvex.engine.logs.logs import Completion

        completion = entry if isinstance(entry, Completion) else None
        if self.function is not None and self.function not in f"{entry.identifier}\n{_request(entry)}":
            return False
        if self.kind is not None and entry.udf_type != self.kind:
            return False
        if self.request_id is not None and entry.request_id != self.request_id:
            return False
        if self.level is not None and not entry.log_lines and _error(entry) is None:
            return False
        if self.pattern is not None and self.pattern.search(_text(entry)) is None:
            return False
        if self.status is not None and (completion is None or not self.status(completion)):
            return False
        return self.success is None or (completion is not None and succeeded(completion) is self.success)


def log_filter(
    *,
    function: str | None = None,
    kind: str | None = None,
    level: str | None = None,
    status: str | None = None,
    request_id: str | None = None,
    grep: str | None = None,
    success: bool | None = None,
) -> LogFilter:
    """The filter that these flags of `pyconvex logs` describe. Raises `BadFilter`."""
    if kind is not None and kind.lower() not in KINDS:
        raise BadFilter(f"--kind is {kind!r}, but it must be query, mutation, action or http")
    if level is not None and level.upper() not in LEVELS:
        raise BadFilter(f"--level is {level!r}, but it must be one of {', '.join(LEVELS)}")
    try:
        pattern = None if grep is None else re.compile(grep)
    except re.error as error:
        raise BadFilter(f"--grep is {grep!r}, which is no regular expression: {error}") from None
    return LogFilter(
        function=function,
        kind=kind and KINDS[kind.lower()],
        level=level and level.upper(),
        status=None if status is None else _status(status),
        request_id=request_id,
        pattern=pattern,
        success=success,
    )


def moment(text: str, now: float) -> float:
    """`10m`, `2h`, `3d` ago, or a local date or time, in seconds since 1970. Raises `BadFilter`."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw])", text.strip()):
        return now - float(match[1]) * _SECONDS[match[2]]
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadFilter(f"--since is {text!r}, but it must be like 10m, 2h, 3d or 2026-11-22T12:00") from None


def succeeded(entry: "Completion") -> bool:
    """Without an error, and an HTTP answer below 400."""
    return entry.error is None and (entry.status is None or entry.status < 400)


def _status(text: str) -> "Callable[[Completion], bool]":
    tests = [_one_status(part.strip().lower()) for part in text.split(",")]
    return lambda entry: any(test(entry) for test in tests)


def _one_status(text: str) -> "Callable[[Completion], bool]":
    if text in ("ok", "error"):
        return lambda entry: entry.status is None and (entry.error is None) is (text == "ok")
    if re.fullmatch(r"[1-5](xx|\d\d)", text) is None:
        raise BadFilter(f"--status is {text!r}, but it must be like 404, 5xx, ok or error")
    pattern = re.compile(text.replace("x", r"\d"))
    return lambda entry: entry.status is not None and pattern.fullmatch(str(entry.status)) is not None


def _with_lines_from(entry: "LogEntry", level: int) -> "LogEntry":
    import msgspec

    lines = [line for line in entry.log_lines if LEVELS.index(line.level.value) >= level]
    return entry if len(lines) == len(entry.log_lines) else msgspec.structs.replace(entry, log_lines=lines)


def _text(entry: "LogEntry") -> str:
    parts = [entry.identifier, _request(entry), _error(entry) or "", *(line.shown() for line in entry.log_lines)]
    return "\n".join(parts)


def _request(entry: "LogEntry") -> str:
    return getattr(entry, "request", None) or ""


def _error(entry: "LogEntry") -> str | None:
    return getattr(entry, "error", None)
