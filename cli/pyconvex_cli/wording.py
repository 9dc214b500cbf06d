"""Numbers, times and names as people read them."""

import contextlib
import shlex
import time


def counted(number: int, noun: str) -> str:
    """`1 route`, `6 functions`, `1,200 entries`."""
    if number == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {plural}"


def duration(seconds: float) -> str:
    """`0.2 ms`, `38 ms`, `1.23 s`, `2 min 5 s`."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def size(count: int) -> str:
    """`512 bytes`, `16 MiB`, `1.5 MiB`; `16,779,216 bytes` for what would not be exact."""
    for unit, bytes_each in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_each and count * 10 % bytes_each == 0:
            return f"{count / bytes_each:,.4g} {unit}"
    return counted(count, "byte")


def clock(seconds: float) -> str:
    """The local time of day of a moment in seconds since 1970: `12:01:04`."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def day_and_clock(seconds: float) -> str:
    """`2026-11-22 12:01:04`, local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def program_of(command: str) -> str:
    """What a shell command is called for short: its first word that sets no variable, `npm` of `A=1 npm run dev`."""
    with contextlib.suppress(ValueError):  # a quote that is not closed
        return next((word for word in shlex.split(command) if "=" not in word), command)
    return command.split(maxsplit=1)[0]
