"""`/echo`: what was sent comes back, which shows what the way to a deployment lets through."""

import asyncio
from typing import Final

from pyconvex.engine.permits import Permits
from pyconvex.settings import Limits

from .asgi import BodyTooLarge, Exchange
from .media import BYTES

PIECE_BYTES: Final = 256 * 1024
"""What is worth a hop to a thread."""
ON_DISK_MAX: Final = 4
"""How many large bodies there may be at once: anybody may send some."""
PATIENCE_SECONDS: Final = 10.0
"""How long one waits for its turn."""


class Echo:
    """Answers with the request's body. A large one is kept in a temporary file until all of it has come, because many
    clients read nothing before they have sent everything."""

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.echo_bytes
        self._on_disk = Permits(
            ON_DISK_MAX,
            "Too many large bodies are echoed at once. Try again later.",
            "Bodies of up to a mebibyte are always echoed.",
            patience_seconds=PATIENCE_SECONDS,
        )

    async def answer(self, exchange: Exchange) -> None:
        """POST. Raises `BodyTooLarge` beyond the limit `echo_bytes`, at once if the size is announced."""
        if (exchange.content_length() or 0) > self._limit:
            raise BodyTooLarge(self._limit)
        await exchange.body.gather()
        if exchange.body.complete:
            await exchange.respond(200, BYTES, await exchange.body.read(self._limit))
            return
        await self._on_disk.acquire()
        try:
            await self._by_file(exchange)
        finally:
            self._on_disk.release()

    async def _by_file(self, exchange: Exchange) -> None:
        from tempfile import TemporaryFile  # which few deployments ever need

        size = 0
        piece = bytearray()
        with await asyncio.to_thread(TemporaryFile) as file:
            async for chunk in exchange.body:
                size += len(chunk)
                if size > self._limit:
                    raise BodyTooLarge(self._limit)
                piece += chunk
                if len(piece) >= PIECE_BYTES:
                    await asyncio.to_thread(file.write, piece)
                    piece.clear()
            await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(file.seek, 0)
            await exchange.start(200, [*BYTES, (b"content-length", b"%d" % size)])
            while given := await asyncio.to_thread(file.read, PIECE_BYTES):
                await exchange.write(given)
        await exchange.finish()
