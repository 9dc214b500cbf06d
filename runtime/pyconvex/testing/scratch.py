"""`ctx` of `ConvexTest.run`: a mutation's, with the files of an action besides."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from functools import wraps
from typing import Any, ClassVar, TypeVar

from pyconvex.engine.answers import Answer
from pyconvex.engine.context import MutationCtx
from pyconvex.engine.files.storage import StorageWriter, blob_of, checked_blob, digest_of
from pyconvex.engine.files.stored_files import add_file, file_record
from pyconvex.engine.transactions import Run
from pyconvex.files.storage import new_key
from pyconvex.functions.fetch.blob import Blob

T = TypeVar("T")

Inline = Callable[[Any], Awaitable[Any] | Any]


def scratch(fn: Inline) -> Inline:
    """`fn`, which gets a `ScratchCtx` where it would get a mutation's."""
    loop = asyncio.get_running_loop()

    @wraps(fn)
    def run(ctx: MutationCtx) -> Awaitable[Any] | Any:
        return fn(ScratchCtx.of(ctx, loop))

    return run


class ScratchCtx(MutationCtx):
    """A mutation's `ctx`, which hands to the test's own event loop what a mutation's cannot do."""

    __slots__ = ("_loop",)

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(run)
        self._loop = loop

    @classmethod
    def of(cls, ctx: MutationCtx, loop: asyncio.AbstractEventLoop) -> "ScratchCtx":
        return cls(ctx._run, loop)

    @property
    def storage(self) -> "ScratchStorage":
        return ScratchStorage(self._run, self._loop)


class ScratchStorage(StorageWriter):
    """Files are stored at once, their documents with the mutation."""

    __slots__ = ("_loop",)
    _absent: ClassVar = {}

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(run)
        self._loop = loop

    def store(self, blob: Blob, /, *, sha256: str | None = None) -> Answer[str]:
        """Stores a file, with that digest if one is given (hex or base64); answers its id."""
        return self._run.write("ctx.storage.store", self._store(blob, sha256))

    def get(self, id: str, /) -> Answer[Blob | None]:
        """The file with its content type, and all of its content; None when there is none."""
        return self._run.read("ctx.storage.get", self._get(id))

    async def _store(self, blob: Blob, sha256: str | None) -> str:
        services = self._run.execution.services
        content = await self._outside(checked_blob(blob).bytes())
        digest = None if sha256 is None else digest_of(sha256)
        stored = await self._outside(services.files.put(new_key(services.clock), content, sha256=digest))
        return await add_file(self._run.transaction, stored, blob.type)

    async def _get(self, id: str) -> Blob | None:
        found = await file_record(self._run.transaction, id, "storage.get")
        if found is None:
            return None
        blob = blob_of(self._run.execution.services.files, found)
        return Blob([await self._outside(blob.bytes())], type=blob.type)

    def _outside(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        return self._loop.create_task(work, context=Context())
