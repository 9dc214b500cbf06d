"""What another program prints, as lines that can stand between our own."""

import codecs
import re

from pyconvex_cli.console import harmless

LINE_MAX = 8192
"""Characters after which a line is handed on without its end."""

# ECMA-48 5.4 (CSI), 8.3.89 (OSC) and the escapes of two characters; of all these only colours are let through
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
_COMMAND = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")


class ForeignLines:
    """Bytes in, lines out. Blank lines go, and of a line that was written over again and again the last state stays."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    @property
    def has_rest(self) -> bool:
        """Whether there is the beginning of a line, such as a question that waits for an answer."""
        return bool(self._rest.strip())

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).replace("\r\n", "\n").split("\n")
        if len(self._rest) > LINE_MAX:
            lines.append(self._rest)
            self._rest = ""
        return [shown for line in lines if (shown := _last_state(line)).strip()]

    def flush(self) -> list[str]:
        """The beginning of a line, as if it had ended here."""
        return self.feed(b"\n")


def coloured(line: str) -> str:
    """`line` with its colours and without anything else that commands a terminal."""
    parts = _COLOUR.split(line)
    text = "".join(part if _COLOUR.fullmatch(part) else harmless(_COMMAND.sub("", part)) for part in parts)
    return f"{text}\x1b[0m" if len(parts) > 1 else text


def plain(line: str) -> str:
    """`line` without anything that commands a terminal."""
    return harmless(_COMMAND.sub("", line))


def _last_state(line: str) -> str:
    """A carriage return begins the line anew."""
    states = [state for state in line.rstrip("\r").split("\r") if state]
    return states[-1] if states else ""
