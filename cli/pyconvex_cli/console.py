"""The only place that prints. What a machine reads goes to stdout, talk goes to stderr.

Renderers elsewhere are pure: they turn data into lines with the help of a `Paint`, which adds colour or does not.
Colour follows https://no-color.org and https://force-color.org; its meaning is always in the words too.
"""

import json
import os
import re
import select
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO, TypeAlias

Paint: TypeAlias = Callable[[str, str], str]
"""`paint(style, text)`: the text, coloured where the terminal allows it. The styles are the keys of `STYLES`."""

STYLES: Mapping[str, str] = {
    "strong": "1",
    "muted": "2",
    "good": "32",
    "warn": "33",
    "bad": "31",
    "loud": "1;31",
    "name": "36",
    "title": "1;35",
    "link": "4;36",
}
"""ANSI SGR parameters (ECMA-48 8.3.117), basic colours only: they follow the user's own terminal theme."""

PIECE = 2000
"""Characters written at once; with up to 4 bytes each they fit into the buffer of a stream."""

PLAIN_WIDTH = 10_000
"""Without a terminal nothing is cut or wrapped: whoever reads the lines has no edge."""

_ESCAPES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Terminal:
    """What one stream can do."""

    colour: bool
    width: int

    def paint(self, style: str, text: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour and text else text


class Console:
    """Both streams of the process and what they can do. Commands get one and use nothing else to print."""

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self._environ = os.environ if environ is None else environ
        self._status = ""

    @property
    def stdout(self) -> TextIO:
        return self._stdout or sys.stdout

    @property
    def stderr(self) -> TextIO:
        return self._stderr or sys.stderr

    @property
    def out(self) -> Terminal:
        return terminal_of(self.stdout, self._environ)

    @property
    def err(self) -> Terminal:
        return terminal_of(self.stderr, self._environ)

    @property
    def err_is_terminal(self) -> bool:
        """Whether a line of talk can be written over."""
        return self.stderr.isatty() and self._environ.get("TERM") != "dumb"

    @property
    def interactive(self) -> bool:
        """Whether a person sits there to be asked or to press keys."""
        return (
            sys.stdin is not None
            and sys.stdin.isatty()
            and self.stderr.isatty()
            and self._environ.get("TERM") != "dumb"
            and not self._environ.get("CI")
        )

    def data(self, lines: str | Iterable[str]) -> None:
        """The result of a command."""
        _write(self.stdout, lines)

    def say(self, lines: str | Iterable[str] = "") -> None:
        """Everything else."""
        if not self._status:
            _write(self.stderr, lines)
            return
        status = self._status
        self.status(None)
        _write(self.stderr, lines)
        self.status(status)

    def status(self, text: str | None) -> None:
        """A line on a terminal that stays below all talk until it is replaced, or taken away with None."""
        if self._status or text:
            self._status = (text or "")[: self.err.width - 1]
            self.stderr.write(f"\r\x1b[K{self._status}")
            _flush(self.stderr)

    def event(self, type: str, **fields: object) -> None:
        """One JSON object on one line, for `--json`."""
        _write(self.stdout, json.dumps({"type": type, **fields}, ensure_ascii=False, default=str))

    def done(self, text: str) -> None:
        self.say(f"{self.err.paint('good', '✔')} {text}")

    def warn(self, text: str, hint: str | None = None) -> None:
        self.say(f"{self.err.paint('warn', 'warning:')} {text}")
        self._hint(hint)

    def error(self, text: str, hint: str | None = None) -> None:
        self.say(f"{self.err.paint('loud', 'error:')} {text}")
        self._hint(hint)

    def _hint(self, hint: str | None) -> None:
        if hint:
            self.say(f"{self.err.paint('name', 'hint:')} {hint}")


console = Console()
"""The process's own."""


def terminal_of(stream: TextIO, environ: Mapping[str, str]) -> Terminal:
    """What `stream` can do, as the environment has it."""
    is_terminal = stream.isatty()
    columns = environ.get("COLUMNS", "")
    if is_terminal:
        width = shutil.get_terminal_size().columns
    else:
        width = int(columns) if columns.isdecimal() and environ.get("FORCE_COLOR") else PLAIN_WIDTH
    return Terminal(_wants_colour(is_terminal, environ), max(width, 40))


def _wants_colour(is_terminal: bool, environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_terminal and environ.get("TERM") != "dumb" and not environ.get("CI")


def harmless(text: str) -> str:
    """`text` without the characters that command a terminal: a request's path must not clear anybody's screen."""
    return _ESCAPES.sub(
        lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else f"\\u{ord(found[0]):04x}", text
    )


def _write(stream: TextIO, lines: str | Iterable[str]) -> None:
    text = (lines if isinstance(lines, str) else "\n".join(lines)) + "\n"
    for start in range(0, len(text), PIECE):
        stream.write(text[start : start + PIECE])
        _flush(stream)


def _flush(stream: TextIO) -> None:
    """A terminal that is shared with another process may be non-blocking: then wait until it takes more."""
    while True:
        try:
            return stream.flush()
        except BlockingIOError:  # what was not taken is still in the buffer
            select.select([], [stream], [])
