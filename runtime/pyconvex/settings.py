"""Settings and limits of a deployment: each value has a name, a default, and a place it came from.

A value is taken from the command line, else from the environment (`PYCONVEX_PORT`), else from `[tool.pyconvex]`
in the project's `pyproject.toml`, else it is the default. Every value remembers which of these it was.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeGuard

from pyconvex.errors import Place, PyconvexError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits by name, the unit last. Defaults are Convex's (https://docs.convex.dev/production/state/limits)."""

    query_seconds: float = field(default=1.0, metadata={"about": "user code of one query"})
    mutation_seconds: float = field(default=1.0, metadata={"about": "user code of one mutation"})
    transaction_seconds: float = field(
        default=15.0, metadata={"about": "one query or mutation in all, waiting for the database included"}
    )
    action_seconds: float = field(default=600.0, metadata={"about": "one action or HTTP action"})
    load_seconds: float = field(default=4.0, metadata={"about": "loading the convex/ folder"})
    args_bytes: int = field(default=16 * 2**20, metadata={"about": "arguments of one call"})
    result_bytes: int = field(default=16 * 2**20, metadata={"about": "return value of one call"})
    http_request_bytes: int = field(default=20 * 2**20, metadata={"about": "body of a request to an HTTP action"})
    http_response_bytes: int = field(default=20 * 2**20, metadata={"about": "body of an HTTP action's response"})
    request_head_bytes: int = field(
        default=64 * 2**10, metadata={"about": "request line and headers of a request, as they are sent"}
    )
    request_head_fields: int = field(default=256, metadata={"about": "headers of a request"})
    request_head_seconds: float = field(
        default=20.0, metadata={"about": "from the first byte of a request to the end of its headers"}
    )
    request_idle_seconds: float = field(
        default=30.0, metadata={"about": "waiting for the next part of a request's body"}
    )
    request_rate_bytes: int = field(
        default=240, metadata={"about": "bytes a second that a body has to come with, after request_idle_seconds"}
    )
    response_idle_seconds: float = field(
        default=60.0, metadata={"about": "waiting for a client that takes in nothing of its response"}
    )
    response_rate_bytes: int = field(
        default=240, metadata={"about": "bytes a second that it has to take in, in each response_idle_seconds"}
    )
    keep_alive_seconds: float = field(default=75.0, metadata={"about": "waiting for a connection's next request"})
    upload_bytes: int = field(default=64 * 2**30, metadata={"about": "a file that is sent to an upload URL"})
    upload_seconds: float = field(default=120.0, metadata={"about": "one upload to an upload URL"})
    api_request_bytes: int = field(default=16 * 2**20 + 2000, metadata={"about": "JSON body of a client API request"})
    api_request_seconds: float = field(default=300.0, metadata={"about": "one call through the HTTP API, in all"})
    concurrent_api_requests: int = field(
        default=128, metadata={"about": "calls through the HTTP API in progress at once; further ones wait"}
    )
    waiting_api_requests: int = field(
        default=4_096, metadata={"about": "calls through the HTTP API that wait for their turn"}
    )
    echo_bytes: int = field(default=128 * 2**20, metadata={"about": "body of a request to /echo"})
    read_bytes: int = field(default=16 * 2**20, metadata={"about": "documents read by one query or mutation"})
    read_documents: int = field(default=32_000, metadata={"about": "documents scanned by one query or mutation"})
    read_ranges: int = field(default=4_096, metadata={"about": "reads of one query or mutation"})
    write_bytes: int = field(default=16 * 2**20, metadata={"about": "documents written by one mutation"})
    write_documents: int = field(default=16_000, metadata={"about": "writes of one mutation"})
    scheduled_functions: int = field(default=1_000, metadata={"about": "functions scheduled by one mutation"})
    scheduled_args_bytes: int = field(
        default=16 * 2**20, metadata={"about": "arguments of all functions scheduled by one mutation"}
    )
    outstanding_functions: int = field(
        default=1_000_000, metadata={"about": "scheduled functions that have not ended, in the whole deployment"}
    )
    scheduled_jobs: int = field(default=8, metadata={"about": "scheduled functions running at once"})
    log_lines: int = field(default=256, metadata={"about": "log lines of one call"})
    log_line_bytes: int = field(default=32_768, metadata={"about": "one log line"})
    call_depth: int = field(default=8, metadata={"about": "calls within calls"})
    concurrent_actions: int = field(default=64, metadata={"about": "actions and HTTP actions running at once"})
    environment_variables: int = field(default=512, metadata={"about": "variables of the deployment"})
    log_history_bytes: int = field(default=64 * 2**20, metadata={"about": "log kept on disk"})
    journal_requests: int = field(default=200, metadata={"about": "requests that `dev` keeps for `requests`, `replay`"})
    journal_bytes: int = field(default=16 * 2**20, metadata={"about": "all these requests together"})
    journal_body_bytes: int = field(default=2**20, metadata={"about": "body of one of them"})


class TailLogs(StrEnum):
    """When `pyconvex dev` shows log rows (Convex's `--tail-logs`)."""

    ALWAYS = "always"
    PAUSE_ON_DEPLOY = "pause-on-deploy"
    DISABLE = "disable"


class Source(StrEnum):
    DEFAULT = "default"
    PYPROJECT = "pyproject"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value came from; `name` is what the user has to change: `--port`, `PYCONVEX_PORT`, `pyproject.toml`."""

    source: Source
    name: str

    def __str__(self) -> str:
        return self.name


DEFAULT = Origin(Source.DEFAULT, "default")


class BadSetting(PyconvexError):
    """A value given by flag, environment or `pyproject.toml` that cannot be used (exit code 2)."""

    def __init__(self, message: str, *, hint: str | None = None, place: Place | None = None) -> None:
        super().__init__("BadSetting", message, hint=hint, place=place)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a deployment was started with. `None` for a port means "3210 (3211), or the next free one"."""

    host: str = field(default="127.0.0.1", metadata={"about": "address to listen on"})
    port: int | None = field(default=None, metadata={"about": "port of the client API"})
    site_port: int | None = field(default=None, metadata={"about": "port of HTTP actions"})
    functions: str = field(default="convex", metadata={"about": "folder of the functions"})
    data: str = field(default=".pyconvex", metadata={"about": "folder of the local deployment"})
    database: str = field(
        default="sqlite",
        repr=False,
        metadata={"about": "sqlite, sqlite:///FILE or postgresql://…: where documents are"},
    )
    storage: str | None = field(
        default=None,
        metadata={
            "about": "FOLDER or s3://BUCKET/PREFIX?endpoint=URL: where stored files are, if not in the data folder"
        },
    )
    tail_logs: TailLogs = field(default=TailLogs.PAUSE_ON_DEPLOY, metadata={"about": "when `dev` shows log rows"})
    cloud_url: str | None = field(
        default=None, metadata={"about": "where clients of `start` reach the client API, if not at host and port"}
    )
    site_url: str | None = field(default=None, metadata={"about": "where clients of `start` reach HTTP actions"})
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        metadata={"about": "addresses or networks whose `Forwarded` and `X-Forwarded-…` headers are believed"},
    )
    allowed_hosts: tuple[str, ...] = field(
        default=(), metadata={"about": "hosts that requests may be for; if none is given, any"}
    )
    workers: int = field(default=1, metadata={"about": "processes that `start` serves with"})
    drain_seconds: float = field(
        default=0.0, metadata={"about": "how long `start` goes on serving after it was told to stop"}
    )
    shutdown_seconds: float = field(
        default=10.0, metadata={"about": "how long `start` lets what is in progress end when it stops"}
    )
    limits: Limits = field(default_factory=Limits)
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])
    """Origin by setting name; limits appear as `limits.action_seconds`. What is absent is a default."""

    def values(self, *, without: Collection[str] = ()) -> dict[str, object]:
        """Every value by setting name, limits as `limits.action_seconds`, except those of the names in `without`."""
        values = {name: getattr(self, name) for name in _PARSERS}
        values |= {f"limits.{each.name}": getattr(self.limits, each.name) for each in fields(Limits)}
        return {name: value for name, value in values.items() if name not in without}

    def origin(self, name: str) -> Origin:
        """Where the value of `name` (`"port"`, `"limits.action_seconds"`) came from."""
        return self.origins.get(name, DEFAULT)


def environment_name(setting: str) -> str:
    """The environment variable of a setting: `site_port` → `PYCONVEX_SITE_PORT`."""
    return f"PYCONVEX_{setting.upper()}"


def resolve_settings(
    project: Path, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings of the project in folder `project`.

    `flags` holds what the command line gave, by setting name (absent or None: not given); `limits` there is a
    sequence of `NAME=VALUE` texts. Values may be texts or already of the right type.

    Raises `BadSetting` with the name of the flag, variable or key whose value cannot be used.
    """
    values: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for layer in (_from_pyproject(project), _from_environment(environ or {}), _from_flags(flags or {})):
        for given in layer:
            origins[given.name] = given.origin
            prefix, _, limit = given.name.partition(".")
            if limit:
                limits[limit] = _limit_value(limit, given)
            else:
                values[prefix] = _PARSERS[prefix](given)
    return Settings(**values, limits=Limits(**limits), origins=origins)


@dataclass(frozen=True, slots=True)
class _Given:
    """One value as somebody gave it; `label` names it in messages."""

    name: str
    value: object
    origin: Origin
    label: str

    def bad(self, expected: str, hint: str | None = None) -> BadSetting:
        return BadSetting(f"{self.label} is {_shown(self.value)}, but it must be {expected}", hint=hint)


def _from_pyproject(project: Path) -> list[_Given]:
    path = project / "pyproject.toml"
    try:
        text = path.read_bytes()
    except OSError:
        return []
    if b"pyconvex" not in text:
        return []
    import tomllib  # 5 ms, and most projects set nothing here

    origin = Origin(Source.PYPROJECT, "pyproject.toml")
    try:
        table: object = tomllib.loads(text.decode()).get("tool", {}).get("pyconvex", {})
    except UnicodeDecodeError:
        raise BadSetting("pyproject.toml is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"pyproject.toml is not valid TOML: {error}", place=_toml_place(error)) from None
    if not _is_table(table):
        raise BadSetting(f"`tool.pyconvex` in pyproject.toml is {_shown(table)}, but it must be a table")
    given: list[_Given] = []
    for key, value in table.items():
        name = key.replace("-", "_")
        if name == "limits" and _is_table(value):
            given += [_limit(k.replace("-", "_"), v, origin, "[tool.pyconvex.limits]") for k, v in value.items()]
        elif name in _PARSERS:
            given.append(_Given(name, value, origin, f"`{key}` in [tool.pyconvex] of pyproject.toml"))
        elif name == "limits":
            raise BadSetting(f"`limits` in [tool.pyconvex] is {_shown(value)}, but it must be a table of limits")
        else:
            raise _unknown("key", key, "[tool.pyconvex] of pyproject.toml", [*_PARSERS, "limits"])
    return given


def _from_environment(environ: Mapping[str, str]) -> list[_Given]:
    given: list[_Given] = []
    for name in _PARSERS:
        variable = environment_name(name)
        if value := environ.get(variable, ""):
            given.append(_Given(name, value, Origin(Source.ENVIRONMENT, variable), variable))
    origin = Origin(Source.ENVIRONMENT, "PYCONVEX_LIMITS")
    parts = map(str.strip, environ.get("PYCONVEX_LIMITS", "").split(","))
    return given + [_limit_text(part, origin) for part in parts if part]


def _from_flags(flags: Mapping[str, object]) -> list[_Given]:
    given: list[_Given] = []
    for name, value in flags.items():
        flag = _FLAGS.get(name) or "--" + name.replace("_", "-")
        if name == "limits" and _is_sequence(value):
            given += [_limit_text(str(text), Origin(Source.FLAG, "--limit")) for text in value]
        elif value is not None:
            given.append(_Given(name, value, Origin(Source.FLAG, flag), flag))
    return given


def _limit_text(text: str, origin: Origin) -> _Given:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadSetting(f"{origin} is {_shown(text)}, but it must be NAME=VALUE", hint="for example action_seconds=20")
    return _limit(name.strip(), value.strip(), origin, str(origin))


def _limit(name: str, value: object, origin: Origin, where: str) -> _Given:
    if name not in _WHOLE:
        raise _unknown("limit", name, where, list(_WHOLE), "`pyconvex limits` lists them all")
    return _Given(f"limits.{name}", value, origin, f"the limit `{name}` ({where})")


def _unknown(what: str, name: str, where: str, known: list[str], otherwise: str | None = None) -> BadSetting:
    import difflib  # 3 ms that only a typing error costs

    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else otherwise or f"known are {', '.join(sorted(known))}"
    return BadSetting(f"there is no {what} `{name}` ({where})", hint=hint)


_DATABASE = re.compile(r"sqlite:///.|postgres(?:ql)?://")
_BUCKET = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#@\s]*)?(\?((endpoint=[^&#@\s]+|region=[\w-]+)(&(?!$)|$))*)?"
)
_ORIGIN = re.compile(r"https?://[^/?#\s]+/?")
_HOST = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]+\]")
_FLAGS = {"trusted_proxies": "--trusted-proxy", "allowed_hosts": "--allowed-host"}
"""Flags that are given once for each of several values."""
_SIZE = re.compile(r"(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?)\s*(?P<unit>[A-Za-z]*)")
_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_WHOLE = {each.name: isinstance(each.default, int) for each in fields(Limits)}


def _limit_value(name: str, given: _Given) -> float:
    whole = _WHOLE[name]
    number = _number(given.value, units=name.endswith("_bytes"))
    if number is None or not math.isfinite(number) or number <= 0 or (whole and number != int(number)):
        expected = "a whole number above 0" if whole else "a number of seconds above 0"
        raise given.bad(expected, hint="sizes may be written as 20MiB" if name.endswith("_bytes") else None)
    return int(number) if whole else number


def _number(value: object, *, units: bool) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    factor = _UNITS.get(match["unit"].lower()) if units or not match["unit"] else None
    return None if factor is None else float(match["number"].replace("_", "")) * factor


def _port(given: _Given) -> int:
    text = str(given.value).strip()
    if isinstance(given.value, bool) or not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise given.bad("a port from 0 to 65535", hint="0 takes any free port")
    return int(text)


def _text(given: _Given) -> str:
    if not isinstance(given.value, str) or not given.value.strip():
        raise given.bad("a text that is not empty")
    return given.value


def _count(given: _Given) -> int:
    number = _number(given.value, units=False)
    if number is None or number < 1 or number != int(number):
        raise given.bad("a whole number above 0")
    return int(number)


def _seconds(given: _Given) -> float:
    number = _number(given.value, units=False)
    if number is None or not 0 <= number < math.inf:
        raise given.bad("a number of seconds, or 0")
    return number


def _url(given: _Given) -> str:
    if not isinstance(given.value, str) or not _ORIGIN.fullmatch(given.value):
        raise given.bad("an address without a path", hint="for example https://chat.example.com")
    return given.value.removesuffix("/")


def _networks(given: _Given) -> tuple[str, ...]:
    networks = _texts(given)
    for each in networks:
        try:
            if each != "*":
                ip_network(each)
        except ValueError:
            hint = "for example 10.0.0.0/8 or 127.0.0.1; `*` is every address"
            raise given.bad("addresses or networks", hint=hint) from None
    return networks


def _hosts(given: _Given) -> tuple[str, ...]:
    hosts = _texts(given)
    if not all(map(_HOST.fullmatch, hosts)):
        raise given.bad("names of hosts without a port", hint="for example chat.example.com or *.example.com")
    return hosts


def _texts(given: _Given) -> tuple[str, ...]:
    """Texts, as a list or separated by commas."""
    parts = given.value.split(",") if isinstance(given.value, str) else given.value
    if not _is_sequence(parts) or not all(isinstance(part, str) for part in parts):
        raise given.bad("a list of texts")
    return tuple(stripped for part in parts for each in str(part).split(",") if (stripped := each.strip()))


def _database(given: _Given) -> str:
    if isinstance(given.value, str) and (given.value == "sqlite" or _DATABASE.match(given.value)):
        return given.value
    # Not shown: it may hold a password.
    raise BadSetting(
        f"{given.label} must be `sqlite`, `sqlite:///FILE` or `postgresql://…`",
        hint="for example postgresql://USER:PASSWORD@HOST:5432/DATABASE",
    )


def _storage(given: _Given) -> str:
    value = given.value
    if isinstance(value, str) and value.strip() and (_is_folder(value) or _BUCKET.fullmatch(value)):
        return value
    # Not shown: it may hold a secret that belongs elsewhere.
    raise BadSetting(
        f"{given.label} must be a folder or s3://BUCKET/PREFIX, with ?endpoint=URL&region=NAME if it is not Amazon's",
        hint="credentials are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def _is_folder(value: str) -> bool:
    try:
        Path(value).expanduser()
    except RuntimeError:  # it is below the home of a user who does not exist
        return False
    return "://" not in value


def _tail_logs(given: _Given) -> TailLogs:
    try:
        return TailLogs(str(given.value))
    except ValueError:
        raise given.bad(" or ".join(f"`{each}`" for each in TailLogs)) from None


_PARSERS: Mapping[str, Callable[[_Given], object]] = {
    "host": _text,
    "port": _port,
    "site_port": _port,
    "functions": _text,
    "data": _text,
    "database": _database,
    "storage": _storage,
    "tail_logs": _tail_logs,
    "cloud_url": _url,
    "site_url": _url,
    "trusted_proxies": _networks,
    "allowed_hosts": _hosts,
    "workers": _count,
    "drain_seconds": _seconds,
    "shutdown_seconds": _seconds,
}


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _is_table(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def _toml_place(error: Exception) -> Place | None:
    # tomllib has structured positions only from Python 3.14 on
    found = re.search(r"at line (\d+), column (\d+)", str(error))
    return Place("pyproject.toml", int(found[1]), int(found[2])) if found else None
