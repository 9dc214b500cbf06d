"""Time in tests: it moves only when a test says so, and then everything that falls due happens in order."""

from pyconvex.clock import ManualClock
from pyconvex.engine.jobs.scheduler import Scheduler
from pyconvex.errors import PyconvexError


class Endless(PyconvexError):
    """Scheduled functions went on scheduling functions."""

    def __init__(self, rounds: int) -> None:
        super().__init__(
            "EndlessScheduling",
            f"Scheduled functions were still scheduling others to run at once after {rounds} rounds. "
            "Check for infinitely recursive scheduled functions.",
            hint="raise `max_iterations` if the chain does come to an end",
        )


async def finish(scheduler: Scheduler, rounds_max: int) -> None:
    """Run what is due now, and what that schedules to be run now.

    Raises:
        Endless: there is more after `rounds_max` rounds.
    """
    for _ in range(rounds_max):
        if not await scheduler.run_due():
            return
    raise Endless(rounds_max)


async def advance(scheduler: Scheduler, clock: ManualClock, seconds: float, rounds_max: int) -> None:
    """Let time pass, and run each job when its time comes: with the clock at its due time.

    Raises:
        Endless: at one moment there is still more after `rounds_max` rounds.
    """
    end = clock.now_ms() + seconds * 1000
    while (due := await scheduler.next_due()) is not None and due <= end:
        clock.move_to(due)
        await finish(scheduler, rounds_max)
    clock.move_to(end)
    await scheduler.tend()
