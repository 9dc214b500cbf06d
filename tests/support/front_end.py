"""Programs with an official client: stories that a process of its own plays, and tells of line by line."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .npm import node_environment

_LINE_BYTES = 2**24


@dataclass
class Playing:
    """A story that is being played."""

    process: asyncio.subprocess.Process
    complained: bytearray = field(default_factory=bytearray)
    """Its standard error, and with it what it wrote to the console."""
    all_said: list[Any] = field(default_factory=list[Any])

    async def said(self) -> Any:
        """What it says next."""
        assert self.process.stdout
        line = await self.process.stdout.readline()
        assert line, "the story ended"
        self.all_said.append(json.loads(line))
        return self.all_said[-1]

    def tell(self, word: object = None) -> None:
        """Answer its `await told()`."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(word).encode() + b"\n")

    async def ended(self) -> list[Any]:
        """What it says until its end, which must be a good one."""
        before = len(self.all_said)
        assert self.process.stdout
        async for line in self.process.stdout:
            self.all_said.append(json.loads(line))
        assert await self.process.wait() == 0, "the story failed"
        return self.all_said[before:]

    async def listen(self) -> None:
        assert self.process.stderr
        while heard := await self.process.stderr.read(2**16):
            self.complained += heard


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """One version of an official client."""

    folder: Path
    """Where it runs. The npm client is installed there."""
    player: tuple[str, ...]
    """The command that plays a story: it gets the name of its file, its own name and its arguments as JSON."""

    @contextlib.asynccontextmanager
    async def playing(self, story: str, url: str, **args: object) -> AsyncGenerator[Playing]:
        """Play a story against the deployment at `url` while the block runs.

        Args:
            story: `live.twoClients` is `twoClients` of the file `live`.
            args: what it is given besides, as JSON.
        """
        file, _, name = story.partition(".")
        async with self.process(*self.player, file, name, json.dumps({**args, "url": url})) as process:
            play = Playing(process)
            listening = asyncio.ensure_future(play.listen())
            try:
                yield play
            except BaseException as failed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(listening, 1)
                failed.add_note(f"{story} said {play.all_said} and wrote\n{play.complained.decode()}")
                raise
            finally:
                listening.cancel()

    async def play(self, story: str, url: str, **args: object) -> list[Any]:
        """Play a story to its end; all that it said."""
        async with self.playing(story, url, **args) as play:
            return await play.ended()

    @contextlib.asynccontextmanager
    async def process(self, *command: str, **variables: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """Any program in its folder, while the block runs."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**node_environment(), "FRONT_END": str(self.folder), **variables},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            limit=_LINE_BYTES,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
