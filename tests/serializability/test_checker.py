"""Histories by hand: each anomaly of the literature is found and named, and what is right passes."""

from collections.abc import Sequence

import pytest

from serializability.checker import check
from serializability.history import History, Layer, Operation, Outcome, Read, Scan, Transaction, Write
from serializability.timestamps import check_timestamps


def append(document: str, value: int, group: int = 0) -> Write:
    return Write("lists", document, value, group)


def write(document: str, version: int, after: int, group: int | None = 0) -> Write:
    return Write("registers", document, version, group, after)


def read(document: str, *values: int) -> Read:
    return Read(document, values)


def scan(low: int, high: int, **found: tuple[int, ...]) -> Scan:
    return Scan("lists", low, high, dict(found))


def beside(*programs: Sequence[Operation]) -> History:
    """Transactions that all ran at the same time."""
    return [Transaction(f"T{number}", list(program), 0, 100) for number, program in enumerate(programs, 1)]


def one_after_another(*programs: Sequence[Operation]) -> History:
    return [
        Transaction(f"T{number}", list(program), number * 10, number * 10 + 5, ts=number)
        for number, program in enumerate(programs, 1)
    ]


def failed(*operations: Operation) -> History:
    return [Transaction("failed", list(operations), 0, 100, outcome=Outcome.FAILED)]


WRONG: dict[str, tuple[set[str], History]] = {
    "writes of two cross (dirty write)": (
        {"G0"},
        beside([append("x", 1), append("y", 2)], [append("x", 3), append("y", 4)], [read("x", 1, 3), read("y", 4, 2)]),
    ),
    "a failed write is seen": ({"G1a"}, [*failed(append("x", 1)), *beside([read("x", 1)])]),
    "a failed write is seen later, below others": (
        {"G1a"},
        [*failed(append("x", 1)), *beside([append("x", 2)], [read("x", 1, 2)])],
    ),
    "a write of a failed sub-transaction is seen": (
        {"G1a"},
        beside([Layer([append("x", 1)], kept=False), append("y", 2)], [read("x", 1)]),
    ),
    "a failed write to a register is seen": (
        {"G1a"},
        [*failed(write("x", 1, 0)), *beside([Read("x", 1)])],
    ),
    "a write that was replaced in its own transaction is seen": (
        {"G1b", "G-single"},
        beside([append("x", 1), append("x", 2)], [read("x", 1)]),
    ),
    "two read each other's writes": ({"G1c"}, beside([append("x", 1), read("y", 2)], [append("y", 2), read("x", 1)])),
    "a read is skewed": (
        {"G-single"},
        beside([append("x", 1), append("y", 2)], [read("x", 1), read("y")], [read("y", 2)]),
    ),
    "a read does not repeat": ({"G-single"}, beside([append("x", 1)], [read("x"), read("x", 1)])),
    "a register is read between two writes of one transaction": (
        {"G-single"},
        beside(
            [write("x", 1, 0), write("y", 2, 0)], [write("x", 3, 1), write("y", 4, 2)], [Read("x", 3), Read("y", 2)]
        ),
    ),
    "an update of a register is lost": (
        {"lost update"},
        beside([write("x", 1, 0)], [write("x", 2, 1)], [write("x", 3, 1)]),
    ),
    "an update of a list is lost": (
        {"lost update"},
        beside([read("x"), append("x", 1)], [read("x"), append("x", 2)], [read("x", 2)]),
    ),
    "two check both and write one each (write skew)": (
        {"G2-item"},
        beside(
            [read("x"), read("y"), append("x", 1)], [read("x"), read("y"), append("y", 2)], [read("x", 1), read("y", 2)]
        ),
    ),
    "write skew of registers": (
        {"G2-item"},
        beside(
            [write("x", 1, 0), write("y", 2, 0)],
            [Read("x", 1), Read("y", 2), write("x", 3, 1)],
            [Read("x", 1), Read("y", 2), write("y", 4, 2)],
        ),
    ),
    "write skew over a search (phantom)": (
        {"G2"},
        beside([scan(0, 5), append("x", 1, 1)], [scan(0, 5), append("y", 2, 2)], [scan(0, 5, x=(1,), y=(2,))]),
    ),
    "a search misses what was there (phantom)": (
        {"G-single"},
        beside([append("x", 1, 1), append("y", 2, 9)], [scan(0, 5), read("y", 2)], [read("x", 1)]),
    ),
    "a register moves into a search that has not found it": (
        {"G2"},
        beside(
            [write("x", 1, 0, 9), write("y", 2, 0, 9)],
            [Scan("registers", 0, 5, {}), write("x", 3, 1, 1)],
            [Scan("registers", 0, 5, {}), write("y", 4, 2, 2)],
        ),
    ),
    "what was acknowledged is not seen": (
        {"G-single-realtime"},
        one_after_another([append("x", 1)], [read("x")]),
    ),
    "what was acknowledged is gone for good": (
        {"G0-realtime"},
        one_after_another([append("x", 1)], [append("x", 2)], [read("x", 2)]),
    ),
    "writes are applied against their order in time": (
        {"G0-realtime"},
        one_after_another([append("x", 1)], [append("x", 2)], [read("x", 2, 1)]),
    ),
    "a deleted register is still seen": (
        {"G-single-realtime"},
        one_after_another([write("x", 1, 0)], [write("x", 2, 1, None)], [Read("x", 1)]),
    ),
    "a write is applied twice": ({"written twice"}, beside([append("x", 1)], [read("x", 1, 1)])),
    "two saw other orders": (
        {"incompatible order"},
        beside([append("x", 1)], [append("x", 2)], [read("x", 1, 2)], [read("x", 2)]),
    ),
    "nobody wrote what was seen": ({"unknown version"}, beside([read("x", 7)])),
    "own writes are not seen": ({"internal"}, beside([append("x", 1), read("x")])),
    "an own delete is not seen": ({"internal"}, beside([write("x", 1, 0), write("x", 2, 1, None), Read("x", 1)])),
    "a search misses an own write": ({"internal"}, beside([append("x", 1, 1), scan(0, 5)])),
    "a search finds an own write outside its range": ({"internal"}, beside([append("x", 1, 9), scan(0, 5, x=(1,))])),
    "a failed sub-transaction is seen by its own parent": (
        {"G1a"},
        beside([Layer([append("x", 1)], kept=False), read("x", 1)]),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_finds(case: str) -> None:
    expected, history = WRONG[case]
    found = check(history)
    assert expected <= {anomaly.kind for anomaly in found}, [str(anomaly) for anomaly in found]


RIGHT: dict[str, History] = {
    "nothing": [],
    "one after another": one_after_another(
        [append("x", 1), append("y", 2, 1)],
        [read("x", 1), append("x", 3), read("x", 1, 3)],
        [scan(0, 2, x=(1, 3), y=(2,)), append("z", 4, 1)],
        [scan(0, 2, x=(1, 3), y=(2,), z=(4,)), scan(1, 2, y=(2,), z=(4,))],
    ),
    "beside each other, in one of the orders": beside(
        [read("x"), append("x", 1)], [read("x", 1), append("y", 2)], [read("x", 1), read("y")], [read("x"), read("y")]
    ),
    "a register through its life": one_after_another(
        [write("x", 1, 0, 3)],
        [Read("x", 1), Scan("registers", 3, 4, {"x": 1}), write("x", 2, 1, 5)],
        [Scan("registers", 3, 4, {}), Scan("registers", 4, 6, {"x": 2})],
        [write("x", 3, 2, None), Read("x", 0)],
        [Read("x", 0), Scan("registers", 0, 9, {})],
    ),
    "a failed sub-transaction in a mutation that goes on": one_after_another(
        [Layer([append("x", 1), read("x", 1)], kept=False), append("x", 2), read("x", 2)], [read("x", 2)]
    ),
    "sub-transactions within each other": one_after_another(
        [Layer([append("x", 1), Layer([append("x", 2)], kept=False), read("x", 1)], kept=True), read("x", 1)],
        [read("x", 1)],
    ),
    "failed ones that nobody saw": [*failed(append("x", 1), read("x", 1)), *beside([append("x", 2)], [read("x", 2)])],
    "an unknown outcome that was a commit": [
        Transaction("unknown", [append("x", 1)], 0, 0, outcome=Outcome.UNKNOWN),
        *one_after_another([read("x")], [read("x", 1)]),
    ],
    "an unknown outcome that was none": [
        Transaction("unknown", [append("x", 1)], 0, 0, outcome=Outcome.UNKNOWN),
        *one_after_another([read("x")], [append("x", 2)], [read("x", 2)]),
    ],
    "an append that nobody has read yet": one_after_another([append("x", 1)], [read("x", 1)], [append("x", 2)]),
}


@pytest.mark.parametrize("case", RIGHT)
def test_it_lets_pass(case: str) -> None:
    assert check(RIGHT[case]) == []


def test_a_story_tells_how_it_came_about() -> None:
    _, history = WRONG["two check both and write one each (write skew)"]
    (anomaly,) = check(history)
    assert str(anomaly) == "G2-item: T1 --rw (y: 0 → 2)→ T2 --rw (x: 0 → 1)→ T1"


@pytest.mark.parametrize(
    "history",
    [
        one_after_another([append("x", 1)], [read("x")]),
        one_after_another([append("x", 1)], [scan(0, 1)]),
        one_after_another([write("x", 1, 0)], [write("x", 2, 1, None)], [Read("x", 1)]),
        [Transaction("early", [append("x", 1)], 0, 1, ts=5), Transaction("late", [read("y")], 2, 3, ts=4)],
        [Transaction("one", [append("x", 1)], 0, 1, ts=5), Transaction("same", [append("y", 2)], 0, 1, ts=5)],
    ],
    ids=["old", "not found", "still there", "stale", "same timestamp"],
)
def test_timestamps_that_lie_are_found(history: History) -> None:
    assert len(check_timestamps(history)) == 1


@pytest.mark.parametrize("case", ["nothing", "one after another", "a register through its life"])
def test_timestamps_that_are_true_pass(case: str) -> None:
    assert check_timestamps(RIGHT[case]) == []
