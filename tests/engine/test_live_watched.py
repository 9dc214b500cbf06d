"""Ranges with those who watch them: the same answers as from a list, in blocks that stay short."""

from __future__ import annotations

import random
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.engine.live import watched as blocks
from pyconvex.engine.live.watched import BLOCK_RANGES_MAX, Watched
from pyconvex.store.keys import IndexKey, KeyRange

Naive: TypeAlias = set[tuple[KeyRange, int]]

# Few letters, so that ranges meet, touch and repeat; 0 and 255 are where keys end and begin.
keys = st.lists(st.sampled_from([0, 1, 2, 255]), max_size=3).map(bytes)
indexes = st.integers(1, 2)
points = st.builds(IndexKey, indexes, keys).map(lambda entry: KeyRange(entry.index, entry.key, entry.key + b"\0"))
spans = st.builds(KeyRange, indexes, keys, st.none() | keys) | points
steps = st.lists(st.tuples(st.booleans(), spans, st.integers(0, 3)), max_size=60)


def matching(naive: Naive, written: list[IndexKey]) -> set[int]:
    return {query for span, query in naive for key in written if span.covers(*key)}


def check_shape(watched: Watched[int]) -> None:
    for ranges in watched._indexes.values():  # pyright: ignore[reportPrivateUsage]
        order = [each for block in ranges._blocks for each in block.order]  # pyright: ignore[reportPrivateUsage]
        assert order == sorted(set(order))
        for block, start in zip(ranges._blocks, ranges._starts, strict=True):  # pyright: ignore[reportPrivateUsage]
            assert 0 < len(block.order) <= BLOCK_RANGES_MAX
            assert start == block.order[0]
            assert block.high == max(stop for _, _, stop in block.order)
            assert block.endless == any(endless for _, endless, _ in block.order)
            assert all(block.queries)


@given(steps, st.lists(st.builds(IndexKey, indexes, keys), max_size=8))
def test_it_answers_as_a_list_would(steps: list[tuple[bool, KeyRange, int]], written: list[IndexKey]) -> None:
    watched: Watched[int] = Watched()
    naive: Naive = set()
    for adds, span, query in steps:
        if adds:
            watched.add(span, query)
            naive.add((span, query))
        else:
            watched.remove(span, query)
            naive.discard((span, query))
        assert watched.match(written) == matching(naive, written)
    check_shape(watched)
    assert len(watched) == len({span for span, _ in naive})


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32))
def test_so_it_does_with_many_blocks_that_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    watched: Watched[int] = Watched()
    naive: list[tuple[KeyRange, int]] = []

    def span() -> KeyRange:
        start = chance.randrange(5_000)
        length = chance.choice((1, 10, 100, 5_000))
        stop = None if chance.random() < 0.01 else start + length
        return KeyRange(1, b"%05d" % start, None if stop is None else b"%05d" % stop)

    for growing in (True, False, True, False):
        for _ in range(600):
            if growing or chance.random() < 0.1 or not naive:
                added = span(), chance.randrange(5)
                watched.add(*added)
                naive.append(added)
            else:
                removed = naive.pop(chance.randrange(len(naive)))
                if removed not in naive:
                    watched.remove(*removed)
        check_shape(watched)
        for _ in range(20):
            written = [IndexKey(1, b"%05d" % chance.randrange(5_200)) for _ in range(3)]
            assert watched.match(written) == matching(set(naive), written)
    for each in set(naive):
        watched.remove(*each)
    assert len(watched) == 0
    assert not watched._indexes  # pyright: ignore[reportPrivateUsage]


def test_a_range_that_many_watch_is_there_once() -> None:
    watched: Watched[int] = Watched()
    for query in range(1_000):
        watched.add(KeyRange(1, b"a", b"c"), query)
        watched.add(KeyRange(1, b"a", b"a\0"), query)
    assert len(watched) == 2
    assert watched.match([IndexKey(1, b"b")]) == set(range(1_000))


def test_a_key_is_compared_with_the_ranges_of_a_few_blocks_only() -> None:
    watched: Watched[int] = Watched()
    for number in range(10_000):
        watched.add(KeyRange(1, b"%05d" % number, b"%05d" % number + b"\xff"), number)
    looked_into = 0
    match = blocks._Block[int].match  # pyright: ignore[reportPrivateUsage]

    def counting(block: object, *args: object) -> None:
        nonlocal looked_into
        looked_into += 1
        match(block, *args)  # type: ignore[arg-type]  # it is handed through

    blocks._Block.match = counting  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    try:
        assert watched.match([IndexKey(1, b"05000x")]) == {5_000}
    finally:
        blocks._Block.match = match  # type: ignore[method-assign]  # pyright: ignore[reportPrivateUsage]
    assert looked_into <= 2
