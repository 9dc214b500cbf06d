"""Schedules functions without end and says on stdout what is acknowledged. Run by test_kill_jobs.py, which kills it."""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from pyconvex.engine.auth.identity import ANONYMOUS
from pyconvex.engine.execution import Call, Caller
from pyconvex.host import Host, HostOptions

CALLERS = 4
PAUSE_SECONDS = 0.01


async def main(project: Path, first: int, database: str) -> None:
    async with Host.open(HostOptions(project=project, database=database)) as host:
        await host.reload()
        host.scheduler.start()
        numbers = itertools.count(first)

        async def caller() -> None:
            for number in numbers:
                call = Call(Caller.TESTER, ANONYMOUS, f"{number:016x}")
                outcome = await host.runner.call("jobs:enqueue", {"n": number}, call, internal=True)
                assert outcome.failure is None, outcome.failure.text
                os.write(1, f"{number}\n".encode())
                await asyncio.sleep(PAUSE_SECONDS)

        await asyncio.gather(*[caller() for _ in range(CALLERS)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
