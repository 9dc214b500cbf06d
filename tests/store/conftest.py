"""Every test of the store runs on a database file as deployments have it, and on the kind that tests of users get."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from pyconvex.clock import Clock, SystemClock
from pyconvex.schema import Schema
from pyconvex.settings import Limits
from pyconvex.store.sqlite import SqlitePersistence
from pyconvex.store.store import Store

OpenStore: TypeAlias = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "pyconvex.db" if request.param == "file" else None


@pytest.fixture
def open_store(database: Path | None) -> OpenStore:
    """`async with open_store(schema, limits=…, clock=…) as store`."""

    @asynccontextmanager
    async def opened(
        schema: Schema | None = None, *, limits: Limits | None = None, clock: Clock | None = None
    ) -> AsyncGenerator[Store]:
        clock = clock or SystemClock()
        store = Store(SqlitePersistence(database, clock=clock), limits or Limits(), clock)
        await store.open()
        try:
            if schema is not None:
                await store.activate(schema)
            yield store
        finally:
            await store.close()

    return opened
