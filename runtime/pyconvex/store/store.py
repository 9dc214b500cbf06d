"""signatures; the body follows"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ..clock import Clock
from ..errors import DeveloperError
from ..schema import Schema
from ..settings import Limits
from .catalog import Catalog
from .keys import Commit
from .persistence import Committed, Persistence
from .transaction import Transaction

T = TypeVar("T")


class Violation(NamedTuple):
    id: str
    path: str
    reason: str


class SchemaViolation(DeveloperError):
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    tables_created: tuple[str, ...] = ()
    indexes_created: tuple[str, ...] = ()  # "table.index"
    indexes_dropped: tuple[str, ...] = ()


class Store:
    schema: Schema
    catalog: Catalog

    def __init__(self, persistence: Persistence, limits: Limits, clock: Clock) -> None: ...
    async def open(self) -> None: ...
    async def close(self) -> None: ...
    def snapshot(self) -> AbstractAsyncContextManager[Transaction]: ...
    async def mutate(self, work: Callable[[Transaction], Awaitable[T]]) -> Committed[T]: ...
    def on_commit(self, callback: Callable[[Commit], None]) -> None: ...
    async def activate(self, schema: Schema) -> SchemaChange: ...
