"""signatures; the body follows"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ..clock import Clock
from ..schema import Schema
from ..settings import Limits
from ..values.ids import DocumentId
from ..values.value import Undefined, Value
from .catalog import Catalog, Index
from .keys import Changes, ReadSet
from .persistence import Reader


@dataclass(slots=True)
class Usage:
    bytes_read: int = 0
    documents_read: int = 0
    ranges_read: int = 0
    bytes_written: int = 0
    documents_written: int = 0


class Transaction:
    ts: int
    reads: ReadSet
    usage: Usage
    catalog: Catalog
    schema: Schema
    pause: Callable[[], Awaitable[None] | None] | None
    """When set: asked between the pages of a long read; what it returns is awaited (the engine's `turn`)."""

    def __init__(self, reader: Reader, catalog: Catalog, schema: Schema, limits: Limits, clock: Clock) -> None: ...

    def table_name(self, number: int) -> str | None: ...
    def table_number(self, name: str) -> int | None: ...
    def index(self, table: str, name: str) -> Index | None: ...
    async def get(self, id: DocumentId) -> dict[str, Value] | None: ...
    def scan(
        self, index: Index, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> AsyncIterator[dict[str, Value]]: ...
    async def take(
        self, index: Index, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False, limit: int | None = None
    ) -> list[dict[str, Value]]: ...
    async def insert(self, table: str, fields: dict[str, Value]) -> str: ...
    async def patch(self, id: DocumentId, fields: dict[str, Value | Undefined]) -> None: ...
    async def replace(self, id: DocumentId, fields: dict[str, Value]) -> None: ...
    async def delete(self, id: DocumentId) -> None: ...
    def layer(self) -> AbstractContextManager[None]: ...
    def changes(self) -> Changes: ...
