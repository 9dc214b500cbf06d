"""Sizes and depths in Convex's units."""

import pytest

from pyconvex.values import Int64, Value
from pyconvex.values.size import depth_of, document_size, size_of


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, 1),
        (True, 1),
        (Int64(1), 9),
        (1, 9),
        (1.5, 9),
        ("", 2),
        ("abc", 5),
        ("hé😀", 2 + 1 + 2 + 4),
        (b"abc", 5),
        ([], 2),
        ([1.0, None], 12),
        ({}, 2),
        ({"ab": "cd"}, 2 + 3 + 4),
        ({"a": "é", "b": [True]}, 2 + 2 + 4 + 2 + 3),
        ({"a": 1.0, "b": "hé", "c": [Int64(1), None, True], "d": b"abc"}, 42),
    ],
)
def test_size(value: Value, size: int) -> None:
    assert size_of(value) == size
    assert size_of([value]) == size + 2
    assert size_of({"key": value}) == size + 2 + 4


def test_a_document_counts_its_system_fields_also_when_they_are_to_come() -> None:
    assert document_size({"a": 1.0}) == 74
    whole: dict[str, Value] = {"a": 1.0, "_id": "j573n4e41xvx4p7e2dnt0jcc4n7ycp9q", "_creationTime": 1.5}
    assert document_size(whole) == size_of(whole) == 74


DEPTHS: list[tuple[Value, int]] = [
    (None, 0),
    ("a", 0),
    ([], 1),
    ({}, 1),
    ([1, []], 2),
    ({"a": 1, "b": {"c": [1]}}, 3),
    ([[], [[[]]], []], 4),
]


@pytest.mark.parametrize(("value", "depth"), DEPTHS)
def test_depth(value: Value, depth: int) -> None:
    assert depth_of(value) == depth
