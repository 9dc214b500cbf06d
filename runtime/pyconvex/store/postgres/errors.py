"""What PostgreSQL's errors mean, and how a database is named without its password."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pyconvex.errors import StartFailed
from pyconvex.store.persistence import StoreFailed

Meaning = tuple[str, str, str | None]
"""Code, message, hint."""

_UNREACHABLE: Final = "DatabaseUnreachable"

_BY_STATE: Final[dict[str, Meaning]] = {
    "28P01": ("DatabasePassword", "the password is wrong", "look at user and password in the database URL"),
    "28000": ("DatabasePassword", "the server does not let this user in", "look at the user in the database URL"),
    "3D000": ("DatabaseMissing", "there is no such database", "create it with `createdb`, or correct the URL"),
    "25006": (
        _UNREACHABLE,
        "the server takes no writes: it is a standby, or read-only",
        "is the URL that of the primary? A standby has to be promoted first",
    ),
    "42501": (
        "DatabaseRights",
        "the user may not do what pyconvex needs",
        "let the user create a schema: GRANT CREATE ON DATABASE … TO …, or CREATE SCHEMA pyconvex AUTHORIZATION …",
    ),
    "53100": ("DiskFull", "the server's disk is full, nothing was written", "free some space on the server"),
    "53300": (
        "DatabaseBusy",
        "the server takes no more connections",
        "raise max_connections, or start fewer processes",
    ),
    "57014": ("DatabaseBusy", "the database took too long", None),
    "55P03": ("DatabaseBusy", "the database took too long", None),
}

# A connection that was refused comes without a state: libpq keeps only the text.
_BY_TEXT: Final = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("session is read-only", "25006"),
    ("server is in hot standby mode", "25006"),
    ("no pg_hba.conf entry", "28000"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
)
_MISSING = re.compile(r'(database|role) "[^"]*" does not exist')

_LOST_STATES: Final = ("08", "57P", "25006", "25P03", "25P04")
"""The server goes down or away, has become a standby, or has given the connection up."""


def is_lost(error: psycopg.Error, connection: "psycopg.AsyncConnection[object] | None" = None) -> bool:
    """Whether the connection is of no use any more, so that what was asked may be asked again on another one."""
    if connection is not None and (connection.closed or connection.broken):
        return True
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_LOST_STATES)


def describe(error: psycopg.Error, url: str) -> Meaning:
    """Code, message and hint for an error of PostgreSQL's or of its client library."""
    text = _without_password((error.diag.message_primary or str(error)).strip(), url)
    known = _BY_STATE.get(_state(error, text) or "")
    if known is not None:
        return known
    if _MISSING.search(text):
        found = _MISSING.search(text)
        assert found is not None, "it was found just now"
        code = "DatabaseMissing" if found[1] == "database" else "DatabasePassword"
        return code, found[0], "create it on the server, or correct the database URL"
    if is_lost(error):
        return _UNREACHABLE, f"the server cannot be reached: {_last_line(text)}", "is it running, and is the URL right?"
    return "StorageFailed", f"the database failed: {_last_line(text)}", None


def failure(error: psycopg.Error, url: str) -> StoreFailed:
    """The error of ours for one at run time; the caller raises it from the original."""
    code, message, hint = describe(error, url)
    return StoreFailed(code, message, hint=hint)


def start_failure(error: psycopg.Error, url: str) -> StartFailed:
    """The error of ours for one before the deployment has started."""
    code, message, hint = describe(error, url)
    return StartFailed(code, f"cannot open {shown(url)}: {message}", hint=hint)


def shown(url: str) -> str:
    """A database's URL for people: without its password, and without settings that may hold one."""
    split = urlsplit(url)
    login, at, place = split.netloc.rpartition("@")
    user = login.partition(":")[0]
    return f"postgresql://{user}{at}{place}{split.path}"


def parameters(url: str) -> dict[str, str]:
    """The parts of a database URL by libpq's names.

    Raises:
        StartFailed: it is no URL that PostgreSQL understands. The message does not quote it: it may hold a password.
    """
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        raise StartFailed(
            "DatabaseUrl",
            "the database URL cannot be read",
            hint="write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for an @ in the password and so on",
        ) from None


def _state(error: psycopg.Error, text: str) -> str | None:
    if error.sqlstate is not None:
        return error.sqlstate
    return next((state for part, state in _BY_TEXT if part in text), None)


def _without_password(text: str, url: str) -> str:
    try:
        password = conninfo_to_dict(url).get("password")
    except psycopg.ProgrammingError:
        return "the database URL cannot be read"
    for secret in (password, unquote(str(password)) if password else None):
        if secret:
            text = text.replace(str(secret), "***")
    return text


def _last_line(text: str) -> str:
    """What several hosts answered comes as several lines; the last one that is not indented is about the last host.

    What is indented only explains the line before.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line[0].isspace()]
    return lines[-1].rstrip(".") if lines else "no reason given"
