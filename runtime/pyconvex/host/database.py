"""Which engine keeps the documents."""

from pathlib import Path
from typing import Final

from pyconvex.clock import Clock
from pyconvex.engine.driver.time_limit import progress
from pyconvex.errors import StartFailed
from pyconvex.store.persistence import Persistence
from pyconvex.store.sqlite.persistence import SqlitePersistence

SQLITE: Final = "sqlite"
SQLITE_FILE: Final = "data.sqlite3"
"""The database in a deployment's data folder."""

_SQLITE_URL = "sqlite:///"


def is_shared(database: str) -> bool:
    """Whether several processes may use the database at once."""
    return not database.startswith(SQLITE)


def sqlite_path(database: str, project: Path, folder: Path) -> Path:
    """The file of a SQLite database; one that is named is relative to the project."""
    return project / database.removeprefix(_SQLITE_URL) if database.startswith(_SQLITE_URL) else folder / SQLITE_FILE


def shown(database: str) -> str:
    """The setting `database` for people, without a password; empty when it only says SQLite."""
    if not is_shared(database):
        return database.removeprefix(_SQLITE_URL) if database.startswith(_SQLITE_URL) else ""
    from pyconvex.store.postgres import errors as postgres_errors

    return postgres_errors.shown(database)


def persistence_for(database: str, *, project: Path, folder: Path, clock: Clock) -> Persistence:
    """The engine of the setting `database`, not opened yet.

    Args:
        folder: the data folder of the deployment, for a database that names no place.

    Raises:
        StartFailed: it is on PostgreSQL, and its client library is not there, or its URL cannot be read.
    """
    if not is_shared(database):
        return SqlitePersistence(sqlite_path(database, project, folder), clock=clock, expired=progress)
    try:
        from pyconvex.store.postgres.persistence import PostgresPersistence  # psycopg costs 180 ms
    except ImportError as error:
        if error.name is not None and error.name.startswith("pyconvex"):
            raise
        raise StartFailed(
            "ExtraMissing",
            f"PostgreSQL needs a library that is not installed: {error}",
            hint="pip install 'pyconvex[postgres]'",
        ) from error
    return PostgresPersistence(database, clock=clock)
