"""Lines of JSON for whoever collects a server's output. Serving never waits for the reader.

A thread writes what has gathered. A reader that is too slow misses lines, and is told how many; when it has gone,
everything is dropped.
"""

import os
import select
import sys
import threading
from contextlib import suppress
from typing import Any, Final

import msgspec

GATHER_SECONDS: Final = 0.02
"""Lines of so long are written at once: waking a thread for each of them would cost more than all the rest."""
WAITING_BYTES_MAX: Final = 16 * 2**20
PIECE_BYTES: Final = 64 * 1024
CLOSE_SECONDS: Final = 2.0

_encoder = msgspec.json.Encoder(enc_hook=str)


class JsonLines:
    """Objects, one per line, on the file `descriptor`. All methods may be called from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._missed = 0
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pyconvex-output", daemon=True)
        self._thread.start()

    def write(self, fields: dict[str, Any]) -> None:
        """One object. What JSON has no form for becomes text."""
        self.write_line(_encoder.encode(fields))

    def write_line(self, line: bytes) -> None:
        """One line as it is, without its end."""
        with self._lock:
            if self._waiting_bytes + len(line) > WAITING_BYTES_MAX:
                self._missed += 1
                return
            self._waiting.append(line)
            self._waiting_bytes += len(line)
        if not self._arrived.is_set():
            self._arrived.set()

    def close(self) -> None:
        """Write what is left, if the reader takes it in time."""
        self._closing.set()
        self._arrived.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._arrived.wait()
                self._closing.wait(GATHER_SECONDS)
                self._arrived.clear()
                self._write(self._gathered())
            self._write(self._gathered())
        except OSError:  # nobody reads any more
            with self._lock:
                self._waiting.clear()
                self._waiting_bytes = WAITING_BYTES_MAX

    def _gathered(self) -> bytes:
        with self._lock:
            lines, self._waiting = self._waiting, []
            self._waiting_bytes = 0
            missed, self._missed = self._missed, 0
        if missed:
            lines.append(_encoder.encode({"type": "missed", "lines": missed}))
        return b"".join(line + b"\n" for line in lines)

    def _write(self, text: bytes) -> None:
        left = memoryview(text)
        while left:
            try:
                left = left[os.write(self._descriptor, left[:PIECE_BYTES]) :]
            except BlockingIOError:  # somebody else has made it so
                select.select([], [self._descriptor], [])


def take_stdout() -> int:
    """A descriptor for this process's standard output; what others print goes to standard error from now on."""
    descriptor = os.dup(sys.stdout.fileno())
    sys.stdout.flush()
    with suppress(OSError):  # C libraries print too
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return descriptor
