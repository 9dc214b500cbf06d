"""`pyconvex_cli.json_lines`: a server's output never keeps the server waiting."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from pyconvex_cli.json_lines import WAITING_BYTES_MAX, JsonLines

LINE = {"type": "log", "text": "x" * 100_000}


def read_all(descriptor: int) -> list[dict[str, Any]]:
    """The objects of a pipe, up to its end."""
    with os.fdopen(descriptor, "rb") as stream:
        return [json.loads(line) for line in stream]


def test_lines_arrive_in_order_and_soon() -> None:
    reading, writing = os.pipe()
    lines = JsonLines(writing)
    lines.write({"type": "a", "path": Path("/x"), "text": "é\n"})
    lines.write_line(b'{"type":"b"}')
    assert os.read(reading, 1000) == '{"type":"a","path":"/x","text":"é\\n"}\n{"type":"b"}\n'.encode()
    lines.close()


def test_what_is_left_is_written_at_the_end() -> None:
    reading, writing = os.pipe()
    found: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: found.extend(read_all(reading)))
    reader.start()
    lines = JsonLines(writing)
    for number in range(500):
        lines.write({"type": "log", "number": number, "text": "x" * 1000})
    lines.close()
    os.close(writing)
    reader.join()
    assert [line["number"] for line in found] == list(range(500))


def test_a_slow_reader_misses_lines_and_is_told() -> None:
    reading, writing = os.pipe()
    lines = JsonLines(writing)
    count = 3 * WAITING_BYTES_MAX // 100_000
    began = time.monotonic()
    for _ in range(count):
        lines.write(LINE)
    assert time.monotonic() - began < 5
    found: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: found.extend(read_all(reading)))
    reader.start()
    lines.close()
    os.close(writing)
    reader.join()
    logged = [line for line in found if line["type"] == "log"]
    missed = sum(line["lines"] for line in found if line["type"] == "missed")
    assert missed > 0
    assert len(logged) + missed == count


def test_a_reader_that_has_gone_ends_the_writing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lines = JsonLines(writing)
    for _ in range(2 * WAITING_BYTES_MAX // 100_000):
        lines.write(LINE)
    began = time.monotonic()
    lines.close()
    assert time.monotonic() - began < 1
    os.close(writing)
