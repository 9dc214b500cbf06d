"""Long work on stored documents, shown while it goes on: a bar on a terminal, lines elsewhere, events for programs."""

import time

from pyconvex.store.schema.progress import QUIET_SECONDS, Progress, Step
from pyconvex_cli.console import Console
from pyconvex_cli.wording import counted, duration

LINE_SECONDS = 5.0
"""Without a terminal, how often there is a line."""
BAR = 24
MARGIN = "  "

_DOING = {Step.CHECK: "checking", Step.BUILD: "building"}
_DONE = {Step.CHECK: "checked", Step.BUILD: "built"}


class WorkDisplay:
    """Shows what it is told of by the store."""

    def __init__(self, console: Console, *, json: bool) -> None:
        self._console = console
        self._json = json
        self._begun: dict[tuple[str, ...], float] = {}
        self._said: dict[tuple[str, ...], float] = {}

    def show(self, progress: Progress) -> None:
        if self._json:
            fields = {**progress._asdict(), "step": progress.step.value, "names": list(progress.names)}
            self._console.event("progress", ts=round(time.time(), 3), **fields)
            return
        now = time.monotonic()
        seconds = now - self._begun.setdefault(progress.names, now - QUIET_SECONDS)
        if progress.ended:
            self._end(progress, seconds)
        elif self._console.err_is_terminal:
            self._console.status(f"{MARGIN}{_bar(progress, seconds)}")
        elif now - self._said.get(progress.names, -LINE_SECONDS) >= LINE_SECONDS:
            self._said[progress.names] = now
            self._console.say(f"{MARGIN}{_line(progress)}")

    def _end(self, progress: Progress, seconds: float) -> None:
        self._begun.pop(progress.names, None)
        self._said.pop(progress.names, None)
        self._console.status(None)
        if progress.done == progress.total:
            mark = self._console.err.paint("good", "✔")
            what = f"{_DONE[progress.step]} {_names(progress)}"
            amount = counted(progress.done, "document")
            self._console.say(f"{MARGIN}{mark} {what} · {amount} in {duration(seconds)}")


def _bar(progress: Progress, seconds: float) -> str:
    share = min(progress.done / progress.total, 1.0)
    filled = int(share * BAR)
    left = f" · {_whole(seconds * (1 - share) / share)} left" if share else ""
    return f"{_doing(progress)} {'━' * filled}{'─' * (BAR - filled)} {share:4.0%}{left}"


def _whole(seconds: float) -> str:
    return duration(round(seconds)) if seconds >= 60 else f"{max(round(seconds), 1)} s"


def _line(progress: Progress) -> str:
    return f"{_doing(progress)}: {progress.done:,} of {counted(progress.total, 'document')}"


def _doing(progress: Progress) -> str:
    where = " in the background" if progress.background else ""
    return f"{_DOING[progress.step]} {_names(progress)}{where}"


def _names(progress: Progress) -> str:
    first, *others = progress.names
    kind = "" if progress.step is Step.BUILD else "the documents of "
    return f"{kind}{first}" + (f" and {len(others)} more" if others else "")
