"""The journal of requests: what it keeps, how much, for how long, and who may read it."""

import threading
from pathlib import Path

import pytest

from pyconvex.engine.requests.request_journal import Arrival, RequestJournal
from pyconvex.settings import Limits


def record(
    journal: RequestJournal, id: str, body: bytes = b"", *, complete: bool = True, replay_of: str | None = None
) -> None:
    """One request, its body in parts of 1,000 bytes."""
    headers = [(b"content-type", b"text/plain"), (b"x-name", b"\xe9"), (b"x-name", b"2")]
    arrival = Arrival(id, 1_700_000_000_000.5, "POST", "/hook", "a=1", headers, "127.0.0.1", replay_of)
    recording = journal.begin(arrival, complete=not body)
    for at in range(0, len(body), 1000):
        recording.take(body[at : at + 1000])
    recording.finish(200, 1.5, complete=complete)


def ids(journal: RequestJournal, limit: int = 1000) -> list[str]:
    return [each.id for each in journal.newest(limit)]


@pytest.fixture(params=["file", "memory"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "requests.sqlite3" if request.param == "file" else None


def test_a_request_is_kept_as_it_came(file: Path | None) -> None:
    journal = RequestJournal(file, Limits())
    assert (journal.newest(10), journal.find("ab"), journal.find("last")) == ([], [], [])
    record(journal, "abcdef", b"\0\xffbody")
    (kept,) = journal.find("abc")
    assert kept.headers == [("content-type", "text/plain"), ("x-name", "é"), ("x-name", "2")]
    assert (kept.body, kept.body_bytes, kept.whole) == (b"\0\xffbody", 6, True)
    assert (kept.method, kept.path, kept.query, kept.client) == ("POST", "/hook", "a=1", "127.0.0.1")
    assert (kept.at_ms, kept.status, kept.took_ms, kept.replay_of) == (1_700_000_000_000.5, 200, 1.5, None)
    (listed,) = journal.newest(10)
    assert (listed.id, listed.body, listed.body_bytes) == ("abcdef", b"", 6)
    journal.close()


def test_found_by_the_beginning_of_an_id_or_as_the_last_that_repeats_none(file: Path | None) -> None:
    journal = RequestJournal(file, Limits())
    for name in ("aa1", "aa2", "b%"):
        record(journal, name)
    record(journal, "c", replay_of="b%")
    assert [each.id for each in journal.find("aa")] == ["aa2", "aa1"]
    assert journal.find("%") == []
    assert journal.find("a_") == []
    assert [each.id for each in journal.find("last")] == ["b%"]
    journal.close()


def test_the_newest_so_many(file: Path | None) -> None:
    journal = RequestJournal(file, Limits(journal_requests=3))
    for number in range(10):
        record(journal, str(number))
        if number % 4 == 0:
            journal.flush()
    assert ids(journal) == ["7", "8", "9"]
    assert ids(journal, 2) == ["8", "9"]
    journal.close()


def test_within_so_many_bytes_but_always_the_newest(file: Path | None) -> None:
    journal = RequestJournal(file, Limits(journal_bytes=5000, journal_body_bytes=5000))
    for number in range(10):
        record(journal, str(number), b"x" * 1500)
    assert ids(journal) == ["8", "9"]
    record(journal, "big", b"x" * 9000)
    assert ids(journal) == ["big"]
    assert journal.find("big")[0].whole is False
    journal.close()


def test_what_waits_to_be_written_is_bounded_too(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "x", Limits(journal_requests=5, journal_bytes=100_000))
    held = threading.Lock()
    with held, journal._writing:  # pyright: ignore[reportPrivateUsage] - as if the disk were slow
        for number in range(1000):
            record(journal, str(number), b"x" * 30_000)
        waiting = list(journal._pending)  # pyright: ignore[reportPrivateUsage]
    assert len(waiting) == 3
    assert ids(journal) == ["997", "998", "999"]
    journal.close()


def test_requests_in_progress_come_last(file: Path | None) -> None:
    journal = RequestJournal(file, Limits(journal_requests=2))
    arrivals = [Arrival(name, 1.0, "POST", "/", "", [], None, None) for name in ("slow", "again", "gone")]
    slow, again, gone = (journal.begin(each, complete=False) for each in arrivals)
    slow.take(b"so far")
    gone.drop()
    again.finish(500, 2.0, complete=True)
    record(journal, "b")
    assert [(each.id, each.took_ms) for each in journal.newest(2)] == [("b", 1.5), ("slow", None)]
    (found,) = journal.find("sl")
    assert (found.body, found.whole, found.status) == (b"so far", False, 0)
    assert journal.find("gone") == []
    slow.finish(200, 3.0, complete=True)
    assert ids(journal) == ["b", "slow"]
    assert journal.find("sl")[0].whole
    journal.close()


@pytest.mark.parametrize(("size", "whole"), [(2000, True), (2001, False)])
def test_long_bodies_are_kept_in_part(tmp_path: Path, size: int, whole: bool) -> None:
    journal = RequestJournal(tmp_path / "x", Limits(journal_body_bytes=2000))
    record(journal, "a", bytes(size))
    (found,) = journal.find("a")
    assert (len(found.body), found.body_bytes, found.whole) == (2000, size, whole)
    journal.close()


def test_a_body_that_did_not_arrive_is_not_whole(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "x", Limits())
    record(journal, "a", b"half", complete=False)
    assert journal.find("a")[0].whole is False
    journal.close()


def test_it_outlives_the_process_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "requests.sqlite3"
    first = RequestJournal(file, Limits())
    assert ids(first) == []
    assert not file.exists(), "looking makes no file"
    record(first, "a")
    first.close()
    assert file.stat().st_mode & 0o777 == 0o600
    second = RequestJournal(file, Limits(journal_requests=2))
    assert ids(second) == ["a"]
    for name in ("b", "c"):
        record(second, name)
    assert ids(second) == ["b", "c"]
    second.close()
    assert [each.name for each in tmp_path.iterdir()] == ["requests.sqlite3"]


@pytest.mark.parametrize("content", [b"no database at all, but longer than a header of one" * 20, b""])
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "requests.sqlite3"
    file.write_bytes(content)
    journal = RequestJournal(file, Limits())
    assert ids(journal) == []
    record(journal, "a")
    assert ids(journal) == ["a"]
    journal.close()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_to_fails_nobody(tmp_path: Path) -> None:
    journal = RequestJournal(tmp_path / "not there" / "requests.sqlite3", Limits())
    record(journal, "a")
    assert ids(journal) == []
    journal.close()


def test_the_thread_writes_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "requests.sqlite3"
    journal = RequestJournal(file, Limits())
    record(journal, "a")
    other, done = RequestJournal(file, Limits()), threading.Event()
    for _ in range(1000):
        if ids(other) == ["a"]:
            break
        done.wait(0.01)
    assert ids(other) == ["a"]
    other.close()
    journal.close()
