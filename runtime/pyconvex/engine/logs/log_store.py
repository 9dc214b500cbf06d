"""Log entries on disk: JSON lines in numbered files, the oldest deleted when there are too many bytes.

Entries are encoded and written by a thread of the store's own, in batches, so that publishing one costs an
append to a deque. What was printed in the last tenth of a second before a `kill -9` is lost, and a line torn by
it is skipped when reading. This is a log, not data: a full disk drops entries and never fails a function.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Final

import msgspec

from pyconvex.engine.logs.logs import LogEntry

GATHER_SECONDS: Final = 0.1
BATCH_ENTRIES: Final = 200
"""Encoded at a time: writing each batch gives the interpreter lock back to the event loop."""
FILES_KEPT: Final = 8
FILE_BYTES_MIN: Final = 4096
CLOSE_SECONDS: Final = 5.0
OVERLAP_SECONDS: Final = 1.0
"""Entries of several processes that write to the same files may be so far out of order."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[LogEntry] = msgspec.json.Decoder(LogEntry)


class LogStore:
    """A folder of log files with at most about `bytes_max` bytes. `append` is cheap; reading and closing block."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self._folder = folder
        self._file_bytes_max = max(bytes_max // FILES_KEPT, FILE_BYTES_MIN)
        self._pending: deque[LogEntry] = deque()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._continued = False

    def append(self, entry: LogEntry) -> None:
        self._pending.append(entry)
        if self._thread is None:
            self._start()
        if not self._arrived.is_set():
            self._arrived.set()

    def flush(self) -> None:
        """Writes everything appended so far."""
        with self._writing:
            while self._pending:
                batch = [self._pending.popleft() for _ in range(min(BATCH_ENTRIES, len(self._pending)))]
                try:
                    self._write(_encoder.encode_lines(batch))
                except OSError:
                    return  # the disk is full or gone; the next batch tries again

    def close(self) -> None:
        """Writes what is left and ends the thread."""
        self._closing.set()
        self._arrived.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            self._thread = None
        self.flush()

    def newest(
        self, limit: int, *, since: float = -inf, accept: Callable[[LogEntry], bool] | None = None
    ) -> list[LogEntry]:
        """The newest `limit` entries that `accept` takes, oldest first; only those later than `since`.

        `since` is in milliseconds since 1970. Blocks while it reads, so not for the event loop's thread.
        """
        self.flush()
        found: list[LogEntry] = []
        end = since / 1000 if limit > 0 else inf
        for entry in self._newest_first():
            if entry.timestamp < end - OVERLAP_SECONDS:
                break
            if entry.timestamp * 1000 > since and (accept is None or accept(entry)):
                found.append(entry)
                if len(found) == limit:
                    end = entry.timestamp
        found.reverse()
        found.sort(key=lambda entry: entry.timestamp)
        return found[max(0, len(found) - limit) :]

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="pyconvex-log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._arrived.wait()
            self._closing.wait(GATHER_SECONDS)
            self._arrived.clear()
            self.flush()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("log-*.jsonl"))

    def _write(self, lines: bytes) -> None:
        """Appends to the newest file, and goes on to new ones as they fill up."""
        if not self._continued:
            lines = b"\n" + lines  # an earlier process may have been killed in the middle of a line
        while lines:
            path, size = self._open_file()
            # The line that fills the file up still belongs to it.
            end = lines.find(b"\n", self._file_bytes_max - size - 1) + 1 or len(lines)
            with path.open("ab") as file:
                file.write(lines[:end])
            lines = lines[end:]
            self._continued = True

    def _open_file(self) -> tuple[Path, int]:
        """The newest file that has room, and its size; makes one, and deletes the oldest, when there is none."""
        files = self._files()
        if files and (size := files[-1].stat().st_size) < self._file_bytes_max:
            return files[-1], size
        for old in files[: max(0, len(files) - FILES_KEPT + 1)]:
            old.unlink(missing_ok=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        number = int(files[-1].stem.removeprefix("log-")) + 1 if files else 1
        return self._folder / f"log-{number:08}.jsonl", 0

    def _newest_first(self) -> Iterator[LogEntry]:
        for path in reversed(self._files()):
            try:
                lines = path.read_bytes().split(b"\n")
            except FileNotFoundError:
                return  # rotated away meanwhile, and everything older with it
            for line in reversed(lines):
                entry = _decode(line)
                if entry is not None:
                    yield entry


def _decode(line: bytes) -> LogEntry | None:
    """None for an empty line, a line torn by a crash, and what a later version may have written."""
    try:
        return _decoder.decode(line) if line else None
    except msgspec.DecodeError:
        return None
