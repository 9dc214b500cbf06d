"""The log: entries in order, waiting for them, keeping them on disk, and what functions write into them."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from pyconvex.clock import ManualClock, SystemClock
from pyconvex.engine.logs.log_store import LogStore
from pyconvex.engine.logs.logs import Completion, Level, LogBook, LogLine, Progress, cursor_of, to_wire
from pyconvex.settings import Limits
from support.deployment import deployment


def entry(identifier: str, lines: list[LogLine] | None = None) -> Completion:
    return Completion(
        udf_type="Query",
        identifier=identifier,
        request_id="r",
        execution_id="e",
        parent_execution_id=None,
        caller="HttpApi",
        identity_type="unknown",
        execution_timestamp=1.0,
        execution_time=0.5,
        user_execution_time=0.5,
        log_lines=lines or [],
    )


def names(entries: list[Completion | Progress]) -> list[str]:
    return [one.identifier for one in entries]


def test_times_of_entries_are_strictly_increasing() -> None:
    book = LogBook(ManualClock(1_767_225_600_000.0))
    for n in range(2000):
        book.publish(entry(str(n)))
    cursors = [cursor_of(one) for one in book.entries(0)]
    assert len(cursors) == 1000
    assert all(early < late for early, late in pairwise(cursors))
    assert names(book.entries(cursors[-3])) == ["1998", "1999"]
    assert names(book.entries(cursors[-3], limit=1)) == ["1998"]
    assert book.entries(book.cursor) == []


def test_waiting_ends_with_the_next_entry() -> None:
    async def test() -> None:
        book = LogBook(SystemClock())
        book.publish(entry("old"))
        waiting = asyncio.create_task(book.wait(book.cursor, timeout=30))
        await asyncio.sleep(0)
        book.publish(entry("new"))
        assert names(await waiting) == ["new"]
        assert names(await book.wait(0, timeout=30)) == ["old", "new"]
        assert await book.wait(book.cursor, timeout=0.01) == []
        closed = asyncio.create_task(book.wait(book.cursor, timeout=30))
        await asyncio.sleep(0)
        book.close()
        assert await closed == []

    asyncio.run(test())


def test_subscribers_hear_every_entry_until_they_leave() -> None:
    book = LogBook(SystemClock())
    heard: list[Completion | Progress] = []
    leave = book.subscribe(heard.append)
    book.publish(entry("a"))
    leave()
    book.publish(entry("b"))
    assert names(heard) == ["a"]


def test_an_entry_on_the_wire_is_convexs() -> None:
    line = LogLine(["'a'", "42"], Level.LOG, 5.0, plain="a 42")
    one = entry("m:f", [line])
    assert to_wire(one, structured=False)["logLines"] == ["[LOG] 'a' 42"]
    fields = to_wire(one, structured=True)
    assert fields["logLines"] == [
        {
            "messages": ["'a'", "42"],
            "level": "LOG",
            "timestamp": 5.0,
            "isTruncated": False,
            "systemMetadata": None,
            "plain": "a 42",
        }
    ]
    assert set(fields) >= {
        "kind", "udfType", "componentPath", "identifier", "logLines", "timestamp", "executionTimestamp", "cachedResult",
        "executionTime", "userExecutionTime", "success", "error", "requestId", "executionId", "parentExecutionId",
        "caller", "environment", "identityType", "usageStats", "returnBytes", "occInfo", "willRetry",
    }  # fmt: skip
    assert (fields["kind"], one.kind) == ("Completion", "Completion")
    assert fields["usageStats"]["databaseReadDocuments"] == 0


def test_entries_outlive_the_process(tmp_path: Path) -> None:
    clock = ManualClock()
    book = LogBook(clock, LogStore(tmp_path / "logs", 2**20))
    for n in range(10):
        book.publish(entry(str(n), [LogLine(["'x'"], Level.WARN, 1.0)]))
    book.close()
    again = LogStore(tmp_path / "logs", 2**20)
    kept = again.newest(3)
    assert names(kept) == ["7", "8", "9"]
    assert kept == book.entries(0)[-3:]
    assert names(again.newest(100, since=cursor_of(kept[1]))) == ["9"]
    assert names(again.newest(2, accept=lambda one: int(one.identifier) % 3 == 0)) == ["6", "9"]


def test_processes_may_share_the_files(tmp_path: Path) -> None:
    clock, stores = ManualClock(), [LogStore(tmp_path / "logs", 2**20) for _ in range(2)]
    for n in range(10):
        clock.advance(0.05)
        written = entry(str(n))
        written.timestamp = clock.now_ms() / 1000
        stores[n % 2].append(written)
    for store in stores:
        store.close()
    assert names(LogStore(tmp_path / "logs", 2**20).newest(4)) == ["6", "7", "8", "9"]


def test_a_line_torn_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    first = LogStore(folder, 2**20)
    first.append(entry("whole"))
    first.close()
    [file] = folder.iterdir()
    with file.open("ab") as torn:
        torn.write(b'{"kind":"Completion","udfType":"Qu')
    second = LogStore(folder, 2**20)
    second.append(entry("after"))
    second.close()
    assert names(LogStore(folder, 2**20).newest(10)) == ["whole", "after"]


def test_old_files_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    store = LogStore(tmp_path / "logs", 64 * 1024)
    for n in range(2000):
        store.append(entry(str(n)))
        if n % 50 == 0:
            store.flush()
    store.close()
    total = sum(file.stat().st_size for file in (tmp_path / "logs").iterdir())
    assert total < 64 * 1024 + 8 * 1000  # each of the eight files may pass its limit by an entry
    kept = names(store.newest(10_000))
    assert kept[-1] == "1999"
    assert len(kept) < 2000
    assert kept == [str(n) for n in range(2000 - len(kept), 2000)]


def test_a_log_that_cannot_be_written_fails_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    book = LogBook(SystemClock(), LogStore(tmp_path / "logs", 2**20))
    book.publish(entry("a"))
    book.close()
    assert names(book.entries(0)) == ["a"]


def test_the_stores_thread_writes_by_itself(tmp_path: Path) -> None:
    store = LogStore(tmp_path / "logs", 2**20)
    store.append(entry("a"))
    [thread] = [thread for thread in threading.enumerate() if thread.name == "pyconvex-log"]
    path = tmp_path / "logs" / "log-00000001.jsonl"
    for _ in range(500):
        if path.exists() and path.read_bytes().endswith(b"}\n"):
            break
        thread.join(0.01)
    assert json.loads(path.read_bytes().strip())["identifier"] == "a"
    store.close()
    assert not thread.is_alive()


WRITES = """
import logging
import sys

log = logging.getLogger("shop")

@query
async def prints(ctx):
    print("a", 42, None, [1, "b"], {"n": 1.5}, sep="-")
    print()
    print("problem", file=sys.stderr)

@query
async def streams(ctx):
    sys.stdout.write("half a ")
    sys.stdout.write("line\\nnext line\\nrest")
    sys.stderr.write("!")

@mutation
async def logs(ctx):
    log.debug("d %s", 1)
    log.info("i")
    log.warning("w")
    log.error("e")
    for level in ("info", "warning"):
        exec(compile(f"log.{level}('from a library')", "/usr/lib/library.py", "exec"), {"log": log})
    logging.critical("c")

@query
async def many(ctx, count: int):
    for n in range(count):
        print(n)

@query
async def long(ctx):
    print("é" * 40_000)

@action
async def acts(ctx):
    print("one")
    print("two")
    await asyncio.sleep(0.01)
    print("three")
"""


@contextmanager
def heard_by_root() -> Generator[list[str]]:
    """What other handlers of the root logger get."""
    heard: list[str] = []

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    handler = Hearing()
    logging.getLogger().addHandler(handler)
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(handler)


def test_print_makes_lines_in_convexs_format_and_plain_ones_for_terminals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WRITES) as t:
            outcome = await t.call("prints")
            assert outcome.log_lines == [
                "[LOG] 'a' 42 null [ 1, 'b' ] { n: 1.5 }",
                "[LOG] ",
                "[ERROR] 'problem'",
            ]
            [done] = t.completions
            assert [line.shown() for line in done.log_lines] == ["a-42-null-[ 1, 'b' ]-{ n: 1.5 }", "", "problem"]
            print("outside")

    asyncio.run(test())
    assert capsys.readouterr() == ("outside\n", "")


def test_what_libraries_write_to_the_streams_becomes_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WRITES) as t:
            outcome = await t.call("streams")
            assert outcome.log_lines == ["[LOG] 'half a line'", "[LOG] 'next line'", "[LOG] 'rest'", "[ERROR] '!'"]

    asyncio.run(test())
    assert capsys.readouterr() == ("", "")


def test_logging_makes_lines_of_its_levels(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WRITES) as t:
            outcome = await t.call("logs")
            assert outcome.log_lines == [
                "[DEBUG] 'd 1'",
                "[INFO] 'i'",
                "[WARN] 'w'",
                "[ERROR] 'e'",
                "[WARN] 'from a library'",
                "[ERROR] 'c'",
            ]
            with heard_by_root() as heard:
                logging.getLogger("elsewhere").error("outside")
            assert heard == ["outside"]
            assert len(t.entries) == 1

    asyncio.run(test())


def test_standard_streams_and_logging_are_given_back(tmp_path: Path) -> None:
    before = sys.stdout, sys.stderr, logging.getLogger().level, list(logging.getLogger().handlers)

    async def test() -> None:
        async with deployment(tmp_path, WRITES):
            assert sys.stdout is not before[0]

    asyncio.run(test())
    assert (sys.stdout, sys.stderr, logging.getLogger().level, list(logging.getLogger().handlers)) == before


def test_too_many_lines(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WRITES) as t:
            lines = (await t.call("many", count=300)).log_lines
            assert len(lines) == 256
            assert lines[254:] == ["[LOG] 254", "[ERROR] Log overflow (maximum 256). Remaining log lines omitted."]
            assert len((await t.call("many", count=255)).log_lines) == 255

    asyncio.run(test())


def test_too_long_a_line_is_cut_at_a_character(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WRITES, limits=Limits(log_line_bytes=100)) as t:
            assert (await t.call("long")).log_lines == [f"[LOG] '{'é' * 49} (truncated due to length)"]

    asyncio.run(test())


def test_lines_of_an_action_go_out_as_they_come(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WRITES) as t:
            assert (await t.call("acts")).log_lines == ["[LOG] 'one'", "[LOG] 'two'", "[LOG] 'three'"]
            sent = [[line.shown() for line in one.log_lines] for one in t.entries if isinstance(one, Progress)]
            assert sent == [["one", "two"], ["three"]]
            assert isinstance(t.entries[-1], Completion)
            assert t.entries[-1].log_lines == []
            assert {one.execution_id for one in t.entries} == {t.entries[-1].execution_id}

    asyncio.run(test())


def test_entries_can_be_read_back_from_json() -> None:
    one = entry("m:f", [LogLine(["1"], Level.ERROR, 2.0)])
    assert msgspec.json.decode(msgspec.json.encode(one), type=Completion | Progress) == one


WARNS = """
@query
async def reads(ctx):
    return len(await ctx.db.query("rows").collect())

@mutation
async def writes(ctx, count: int):
    for n in range(count):
        await ctx.db.insert("rows", {"n": n})
"""


def test_coming_near_a_limit_is_warned_about(tmp_path: Path) -> None:
    async def test() -> None:
        async with deployment(tmp_path, WARNS, limits=Limits(read_documents=10, write_documents=10)) as t:
            [line] = (await t.call("writes", count=9)).log_lines
            assert line == "[WARN] Many writes in a single function execution (actual: 9, limit: 10)."
            [line] = (await t.call("reads")).log_lines
            assert line.startswith("[WARN] Many documents read in a single function execution (actual: 9, limit: 10).")
            assert "Too many writes in a single function execution (limit: 10)" in await t.error("writes", count=11)

    asyncio.run(test())
