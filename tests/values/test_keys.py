"""Index keys, against bytes worked out by hand. Their order is tested in test_properties."""

from itertools import pairwise

import pytest

from pyconvex.values import Int64, Value, undefined
from pyconvex.values.keys import after_prefix, encode_key
from pyconvex.values.kinds import Undefined
from pyconvex.values.value import InvalidValue

NAN, INFINITY = float("nan"), float("inf")

IN_ORDER: list[Value | Undefined] = [
    undefined,
    None,
    *(Int64(sign * 2**power) for sign in (-1,) for power in (63, 62, 40, 32, 31, 30, 16, 15, 14, 8, 7, 1, 0)),
    Int64(0),
    *(Int64(2**power - 1) for power in (1, 7, 8, 15, 16, 31, 32, 62, 63)),
    -NAN,
    -INFINITY,
    -(10**15),
    -1.5,
    -1,
    -5e-324,
    -0.0,
    0,
    5e-324,
    1,
    1.5,
    2**53,
    1e300,
    INFINITY,
    NAN,
    False,
    True,
    "",
    "\0",
    "\0\0",
    "\0a",
    "\x01",
    "a",
    "a\0",
    "a\0b",
    "aa",
    "é",
    "\uffff",
    "😀",
    b"",
    b"\0",
    b"\0\xff",
    b"\x01",
    b"\xff",
    b"\xff\xff",
    [],
    [None],
    [None, None],
    ["a"],
    [[]],
    [{}],
    {},
    {"": 1},
    {"": 1, "a": 1},
    {"a": 1},
    {"a": 1, "b": None},
    {"a": 2},
    {"aa": 0},
    {"b": None},
]


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (undefined, "01"),
        (None, "03"),
        (Int64(0), "08"),
        (Int64(5), "0905"),
        (Int64(127), "097f"),
        (Int64(128), "0a0080"),
        (Int64(-1), "07ff"),
        (Int64(-128), "0780"),
        (Int64(-129), "06ff7f"),
        (Int64(-300), "06fed4"),
        (Int64(-(2**31)), "0580000000"),
        (Int64(2**31), "0c0000000080000000"),
        (Int64(-(2**63)), "048000000000000000"),
        (1.5, "0dbff8000000000000"),
        (0.0, "0d8000000000000000"),
        (-0.0, "0d7fffffffffffffff"),
        (False, "0e"),
        (True, "0f"),
        ("hi", "10686900"),
        ("a\0b", "106100ff6200"),
        (b"\x00\x01", "1100ff0100"),
        ([Int64(1), None], "1209010300"),
        ({"a": True}, "1561000f00"),
        ({}, "1500"),
        ({"": None}, "1500ff0300"),
    ],
)
def test_reference_vectors(value: Value | Undefined, key: str) -> None:
    assert encode_key([value]).hex() == key


def test_values_of_every_kind_in_order() -> None:
    keys = [encode_key([value]) for value in IN_ORDER]
    for (left, left_key), (right, right_key) in pairwise(zip(IN_ORDER, keys, strict=True)):
        assert left_key < right_key, f"{left!r} < {right!r}"


def test_an_int_and_the_equal_float_have_one_key() -> None:
    assert encode_key([3, [3], {"a": -3}]) == encode_key([3.0, [3.0], {"a": -3.0}])
    assert encode_key([3]) != encode_key([Int64(3)])
    assert encode_key([1]) != encode_key([True])


def test_a_key_is_its_parts_one_after_another() -> None:
    assert encode_key(["a", 1.5, None]) == encode_key(["a"]) + encode_key([1.5]) + encode_key([None])
    assert encode_key([]) == b""
    assert encode_key({"b": 1, "a": 2}.values()) == encode_key([1, 2])


def test_the_end_of_an_object_is_no_empty_name() -> None:
    assert encode_key([{}, True, None]) < encode_key([{"": False}, None, None])
    assert encode_key([{}, "x"]) < encode_key([{"": None}, "a"])


def test_the_order_of_fields_in_a_dict_does_not_matter() -> None:
    assert encode_key([{"a": 1, "b": 2}]) == encode_key([{"b": 2, "a": 1}])


@pytest.mark.parametrize(
    ("prefix", "after"),
    [(b"a", b"b"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"a\x00", b"a\x01"), (b"", None), (b"\xff\xff", None)],
)
def test_after_prefix(prefix: bytes, after: bytes | None) -> None:
    assert after_prefix(prefix) == after


def test_what_is_no_value_has_no_key() -> None:
    with pytest.raises(InvalidValue, match="tuple"):
        encode_key([("a",)])  # type: ignore[list-item]  # this is the mistake
