"""Every test of the store runs on each kind of database."""

from collections.abc import Generator
from pathlib import Path

import pytest

from support.stores import KINDS, Database, OpenStore, database_of


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database]:
    """Tests for some kinds only say so: `@pytest.mark.parametrize("database", SQLITE, indirect=True)`."""
    with database_of(request.param, tmp_path) as database:
        yield database


@pytest.fixture
def open_store(database: Database) -> OpenStore:
    return database.open
