"""Suites of `ctx` that every engine passes."""

from collections.abc import Generator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from pyconvex.clock import Clock
from pyconvex.store.persistence import Persistence
from support.deployment import new_database
from support.stores import KINDS, database_of


@pytest.fixture(params=KINDS)
def every_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[str]:
    """Each deployment of the test gets a new database of that kind."""
    numbers = count()
    with ExitStack() as databases:

        def new(clock: Clock) -> Persistence:
            folder = tmp_path / f"database-{next(numbers)}"
            folder.mkdir()
            return databases.enter_context(database_of(request.param, folder)).persistence(clock)

        before = new_database.set(new)
        try:
            yield str(request.param)
        finally:
            new_database.reset(before)
