"""Int64 behaves like int, stays Int64 through arithmetic, and never leaves its 64 bits."""

import copy
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import Int64

LOWEST, HIGHEST = -(2**63), 2**63 - 1

BINARY: dict[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
}


@pytest.mark.parametrize("symbol", BINARY)
@given(left=st.integers(LOWEST, HIGHEST), right=st.integers(LOWEST, HIGHEST))
def test_arithmetic_is_that_of_int_within_64_bits(symbol: str, left: int, right: int) -> None:
    operation = BINARY[symbol]
    if right == 0 and symbol in ("//", "%"):
        return
    expected = operation(left, right)
    for a, b in ((Int64(left), right), (left, Int64(right)), (Int64(left), Int64(right))):
        if LOWEST <= expected <= HIGHEST:
            result = operation(a, b)
            assert type(result) is Int64
            assert result == expected
        else:
            with pytest.raises(OverflowError):
                operation(a, b)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (-Int64(5), -5),
        (+Int64(5), 5),
        (abs(Int64(-5)), 5),
        (~Int64(5), -6),
        (Int64(2) ** 10, 1024),
        (2 ** Int64(10), 1024),
        (Int64(1) << 4, 16),
        (1 << Int64(4), 16),
        (Int64(-16) >> 2, -4),
        (round(Int64(1250), -2), 1200),
    ],
)
def test_the_other_operators_give_int64_too(result: int, expected: int) -> None:
    assert type(result) is Int64
    assert result == expected


def test_divmod_gives_two() -> None:
    assert [type(part) for part in divmod(Int64(-7), 2)] == [Int64, Int64]
    assert divmod(Int64(-7), 2) == (-4, 1)
    assert divmod(7, Int64(2)) == (3, 1)


@pytest.mark.parametrize(("result", "expected"), [(Int64(5) + 1.5, 6.5), (1.5 * Int64(2), 3.0), (Int64(7) / 2, 3.5)])
def test_floats_and_true_division_give_floats(result: float, expected: float) -> None:
    assert type(result) is float
    assert result == expected


def test_a_negative_power_is_a_float() -> None:
    assert Int64(2) ** -1 == 0.5


@pytest.mark.parametrize("value", [HIGHEST + 1, LOWEST - 1, 1e300])
def test_values_beyond_64_bits_are_refused(value: float) -> None:
    with pytest.raises(OverflowError):
        Int64(value)


@pytest.mark.parametrize("value", ["five", 1.5, float("nan")])
def test_what_is_no_integer_is_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match=r"five|1\.5|NaN"):
        Int64(value)


@pytest.mark.parametrize("make", [lambda: -Int64(LOWEST), lambda: abs(Int64(LOWEST)), lambda: Int64(2) ** 64])
def test_overflow_of_one_operand(make: Callable[[], int]) -> None:
    with pytest.raises(OverflowError):
        make()


def test_it_reads_well_and_can_be_copied() -> None:
    number = Int64("12")
    assert repr(number) == "Int64(12)"
    assert f"{number} {number:03d}" == "12 012"
    for twin in (copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
        assert type(twin) is Int64
        assert twin == number


def test_other_types_are_left_to_python() -> None:
    with pytest.raises(TypeError):
        Int64(1) + "1"  # type: ignore[operator]  # this is the mistake
