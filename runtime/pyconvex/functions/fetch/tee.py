"""One stream for two readers, as `clone()` makes it (https://streams.spec.whatwg.org/#readablestream-tee)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator


def tee(chunks: AsyncIterator[bytes]) -> tuple[AsyncIterator[bytes], AsyncIterator[bytes]]:
    """Two iterators over `chunks`, each at its own pace.

    The source is read as the faster one asks, and what the slower one has not read yet waits in memory: of the body of
    a request at most its limit. Whatever the source raises both get to know, as long as it raises it again when it is
    asked again.
    """
    source = _Source(chunks)
    left, right = _Branch(source), _Branch(source)
    source.branches = [left, right]
    return left, right


class _Source:
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.branches: list[_Branch] = []
        self._chunks = chunks
        self._asking = asyncio.Lock()
        self._ended = False

    async def fetch(self, branch: "_Branch") -> None:
        """Let a chunk more wait for everybody, unless somebody else has done so meanwhile."""
        async with self._asking:
            if branch.waiting:
                return
            if self._ended or branch not in self.branches:
                raise StopAsyncIteration
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._ended = True
                raise
            for each in self.branches:
                each.waiting.append(chunk)

    async def leave(self, branch: "_Branch") -> None:
        """Keep nothing for `branch` from now on; the last one to leave closes the source."""
        if branch in self.branches:
            self.branches.remove(branch)
            if not self.branches:
                await close(self._chunks)


class _Branch:
    def __init__(self, source: _Source) -> None:
        self.waiting: deque[bytes] = deque()
        self._source = source

    def __aiter__(self) -> "_Branch":
        return self

    async def __anext__(self) -> bytes:
        if not self.waiting:
            await self._source.fetch(self)
        return self.waiting.popleft()

    async def aclose(self) -> None:
        self.waiting.clear()
        await self._source.leave(self)


async def close(chunks: object) -> None:
    """Let an iterator clean up, if it has the means to."""
    aclose = getattr(chunks, "aclose", None)
    if aclose is not None:
        await aclose()
