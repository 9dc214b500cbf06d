"""The keys of recent commits: whether what was read has been written since, as long as that is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyconvex.engine.live.commit_history import CommitHistory
from pyconvex.engine.live.read_ranges import WATCHED_MAX, ReadRanges
from pyconvex.store.keys import Commit, DocumentChange, IndexKey, KeyRange, ReadSet
from pyconvex.store.search.entries import FoundChange, SearchEntry

SECOND = 1_000_000_000
keys = st.binary(min_size=1, max_size=2)
spans = st.builds(KeyRange, st.just(1), keys, st.none() | keys)


def commit(ts: int, *written: bytes, old: bytes | None = None) -> Commit:
    """A commit that inserted documents, or changed one that had the key `old`."""
    before = () if old is None else (old,)
    return Commit(ts, [DocumentChange((1,), before, (key,), 1, b"{}") for key in written])


def reads(*ranges: KeyRange) -> ReadSet:
    found = ReadSet()
    for span in ranges:
        found.add(*span)
    return found


@given(st.lists(spans, max_size=WATCHED_MAX + 20), st.lists(keys, min_size=1, max_size=20))
def test_many_ranges_cover_what_each_of_them_covers(ranges: list[KeyRange], written: list[bytes]) -> None:
    found = ReadRanges(ranges)
    assert found.exact == (len(set(ranges)) <= WATCHED_MAX)
    for key in written:
        covered = any(span.covers(1, key) for span in ranges)
        assert found.covers(1, key) is covered
        assert found.meets([IndexKey(1, key)]) is covered
        assert not found.covers(2, key)
        if covered:
            assert any(span.covers(1, key) for span in found.watched)


@given(st.lists(keys, max_size=8), st.lists(spans, max_size=20), st.integers(0, 9))
def test_it_says_what_a_comparison_of_everything_says(written: list[bytes], ranges: list[KeyRange], since: int) -> None:
    history = CommitHistory()
    history.begin(0)
    for ts, key in enumerate(written, 1):
        history.add(commit(ts, key))
    touches = [ts for ts, key in enumerate(written, 1) if ts > since and any(span.covers(1, key) for span in ranges)]
    assert history.first_touch(since, ReadRanges(ranges)) == min(touches, default=None)
    assert history.touched_since(since, reads(*ranges)) is bool(touches)


def test_the_key_that_a_document_had_before_counts_too() -> None:
    history = CommitHistory()
    history.begin(0)
    history.add(commit(1, b"z", old=b"a"))
    assert history.touched_since(0, reads(KeyRange(1, b"a", b"b"))) is True
    assert history.touched_since(1, reads(KeyRange(1, b"a", b"b"))) is False


def test_so_do_the_words_of_a_search_index_and_the_keys_of_other_processes() -> None:
    history = CommitHistory()
    history.begin(0)
    found = FoundChange(8, SearchEntry("old words", ()), SearchEntry("new words", ()))
    history.add(Commit(1, [DocumentChange((1,), (b"a",), (b"b",), 1, b"{}", (found,))]))
    history.add(Commit.of(2, [IndexKey(7, b"x")]))
    for word in (b"old", b"new", b"words"):
        assert history.first_touch(0, ReadRanges([KeyRange(8, word, word + b"\0")])) == 1
    assert history.first_touch(0, ReadRanges([KeyRange(8, b"other", b"other\0")])) is None
    assert history.first_touch(0, ReadRanges([KeyRange(7, b"w", None)])) == 2


def test_nothing_is_known_of_the_time_before_it_began() -> None:
    history = CommitHistory()
    assert history.touched_since(5, reads()) is None
    history.begin(10)
    assert history.touched_since(9, reads()) is None
    assert history.touched_since(10, reads()) is False
    history.begin(20)
    assert history.touched_since(10, reads()) is False, "what counts is when it began first"


def test_nothing_is_kept_before_somebody_wants_it() -> None:
    history = CommitHistory()
    history.add(commit(15, b"a"))
    history.begin(10)
    assert history.touched_since(10, reads()) is None, "what it heard before then it has not kept"
    assert history.touched_since(15, reads()) is False


def test_old_commits_are_forgotten() -> None:
    history = CommitHistory(seconds=2)
    history.begin(0)
    for second in range(5):
        history.add(commit(second * SECOND, b"%d" % second))
    assert history.touched_since(1 * SECOND, reads()) is not None
    assert history.touched_since(0, reads(KeyRange(1, b"9", None))) is None
    assert history.touched_since(2 * SECOND, reads(KeyRange(1, b"3", b"4"))) is True


def test_it_holds_a_bounded_number_of_keys() -> None:
    history = CommitHistory(keys_max=10)
    history.begin(0)
    for ts in range(1, 101):
        history.add(commit(ts, b"a", b"b", b"c"))
    assert not history.covers(96)
    assert history.covers(97)
    history.add(commit(101, *[b"%d" % number for number in range(50)]))
    assert not history.covers(100)
    assert history.covers(101)


def test_when_commits_were_missed_nothing_before_is_known() -> None:
    history = CommitHistory()
    history.begin(0)
    history.add(commit(1, b"a"))
    history.add(Commit.missed(5))
    assert history.touched_since(1, reads(KeyRange(1, b"z", None))) is None
    assert history.touched_since(5, reads(KeyRange(1, b"z", None))) is False
