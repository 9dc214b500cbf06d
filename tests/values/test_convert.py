"""Any Python object as a Convex value: what is taken, what is refused, and how it is said."""

import enum
from collections import OrderedDict, UserDict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import pytest

from pyconvex.errors import DeveloperError
from pyconvex.values import ConvexError, Int64, Value, undefined
from pyconvex.values.value import InvalidValue, convert


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Celsius(float):
    pass


class Opaque:
    pass


class Failing:
    def __repr__(self) -> str:
        raise RuntimeError


TAKEN: list[tuple[object, Value]] = [
    (None, None),
    (True, True),
    (3, 3),
    (3.0, 3.0),
    (2**53, 2**53),
    (Int64(2**60), Int64(2**60)),
    (float("inf"), float("inf")),
    ("hé😀", "hé😀"),
    (b"ab", b"ab"),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"ab"), b"ab"),
    ((1, (2,)), [1, [2]]),
    ({"a": (1,)}, {"a": [1]}),
    (OrderedDict([("a", 1)]), {"a": 1}),
    (UserDict(a={"b": 1}), {"a": {"b": 1}}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    ({"a": undefined, "b": {"c": undefined}}, {"b": {}}),
    ({"": 1, "_x": 2, "a b": 3}, {"": 1, "_x": 2, "a b": 3}),
    (Colour.RED, "red"),
    (Level.LOW, 1),
    (Celsius(1.5), 1.5),
    ({Colour.RED: [Colour.RED, Level.LOW]}, {"red": ["red", 1]}),
]


@pytest.mark.parametrize(("value", "converted"), TAKEN)
def test_what_is_taken(value: object, converted: Value) -> None:
    result = convert(value)
    assert repr(result) == repr(converted)
    assert type(result) is type(converted)


def test_keys_become_plain_texts() -> None:
    result = convert({"red": 1})
    assert isinstance(result, dict)
    again = convert({Colour.RED: 1})
    assert isinstance(again, dict)
    assert [type(key) for key in (*result, *again)] == [str, str]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "{1, 2} is not a supported Convex type"),
        (Opaque(), "<Opaque> is not a supported Convex type"),
        (Failing(), "<Failing, whose repr raises RuntimeError> is not a supported Convex type"),
        (undefined, "undefined is not a valid Convex value"),
        (
            [1, {"a": undefined, "b": [undefined]}],
            (
                "undefined is not a valid Convex value "
                "(present at path [1].b[0] in original object [1.0, {a: undefined, b: [undefined]}])"
            ),
        ),
        (
            {"a": {"b": {3}}, "n": Int64(123)},
            "{3} is not a supported Convex type (present at path .a.b in original object {a: {b: {3}}, n: 123n})",
        ),
        ({"a": {"$b": 1}}, "Field name '$b' starts with '$', which is reserved (present at path .a "),
        ({1: 1}, "Object keys must be strings, not int: 1"),
        ({"é": 1}, "Field name 'é' has a character that is not printable ASCII"),
        ({"a\x7f": 1}, "has a character that is not printable ASCII"),
        ({"k" * 1025: 1}, "has 1025 characters, more than the maximum of 1024"),
        (2**53 + 1, "9007199254740993 is beyond ±2**53 and cannot be a float64 without loss"),
        (-(2**53) - 1, "-9007199254740993 is beyond ±2**53 and cannot be a float64 without loss"),
        ("a\ud800", "'a\\ud800' has a lone surrogate"),
        ({"a": "\ud800"}, "'\\ud800' has a lone surrogate, which is no Unicode character (present at path .a "),
        ([1] * 8193, "Array length is too long (8193 > maximum length 8192)"),
        ({str(n): n for n in range(1025)}, "Object has too many fields (1025 > maximum number 1024)"),
    ],
)
def test_what_is_refused(value: object, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        convert(value)
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert isinstance(caught.value, DeveloperError)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (2**60, "write `Int64(1152921504606846976)` and `v.int64()` for whole numbers of 64 bits"),
        (2**70, "store it as a text"),
        ({1}, "make it a list: `sorted(items)`"),
        (datetime(2026, 1, 1, tzinfo=UTC), "store milliseconds since 1970: `when.timestamp() * 1000`"),
        (Decimal(1), "store a text, or a float"),
        (Opaque(), None),
    ],
)
def test_a_refusal_says_what_to_do_instead(value: object, hint: str | None) -> None:
    with pytest.raises(InvalidValue) as caught:
        convert([value])
    assert caught.value.hint == hint


def test_a_forgotten_await_is_recognised() -> None:
    async def fetch() -> int:
        return 1

    pending = fetch()
    with pytest.raises(InvalidValue) as caught:
        convert({"n": pending})
    assert caught.value.hint == "an `await` is missing"
    pending.close()


def test_an_integer_too_long_to_be_written_out() -> None:
    with pytest.raises(InvalidValue, match=r"^<integer of 16610 bits> is beyond") as caught:
        convert([10**5000])
    assert "in original object [<integer of 16610 bits>]" in str(caught.value)


NESTS: list[Callable[[object], object]] = [lambda inner: [inner], lambda inner: (inner,), lambda inner: {"a": inner}]


@pytest.mark.parametrize("nest", NESTS)
def test_nesting_has_a_limit(nest: Callable[[object], object]) -> None:
    value: object = "core"
    for _ in range(3):
        value = nest(value)
    assert convert(value, max_depth=3) is not None
    with pytest.raises(InvalidValue, match=r"^Value is too nested"):
        convert(value, max_depth=2)
    for _ in range(61):
        value = nest(value)
    assert convert(value) is not None
    with pytest.raises(InvalidValue, match=r"^Value is too nested"):
        convert(nest(value))


def test_a_value_that_contains_itself_is_refused_in_few_words() -> None:
    loop: list[object] = []
    loop.append({"a": loop})
    with pytest.raises(InvalidValue, match=r"^Value is too nested") as caught:
        convert(loop)
    assert len(str(caught.value)) < 10_000


def test_a_message_about_a_large_value_is_cut() -> None:
    with pytest.raises(InvalidValue) as caught:
        convert(["x" * 100, *range(8000), {1}])
    assert "present at path [8001]" in str(caught.value)
    assert len(str(caught.value)) < 5000


def test_many_keys_are_checked_each_time() -> None:
    """Legal keys are remembered; illegal ones, and more keys than are remembered, must still be told apart."""
    for number in range(6000):
        assert convert({f"key{number}": 1}) == {f"key{number}": 1}
        if number % 1000 == 0:
            with pytest.raises(InvalidValue):
                convert({f"$key{number}": 1})


@pytest.mark.parametrize(
    ("data", "text", "stored"),
    [
        ("no such room", "no such room", "no such room"),
        ({"code": 5, "why": "full"}, '{"code":5,"why":"full"}', {"code": 5, "why": "full"}),
        ((1, Int64(2)), '[1,{"$integer":"AgAAAAAAAAA="}]', [1, Int64(2)]),
        (None, "null", None),
        (undefined, "null", None),
    ],
)
def test_convex_error(data: object, text: str, stored: Value) -> None:
    error = ConvexError(data)
    assert str(error) == text
    assert repr(error.data) == repr(stored)


def test_convex_error_takes_values_only() -> None:
    with pytest.raises(InvalidValue):
        ConvexError({1})


def test_undefined_is_one_falsy_thing() -> None:
    assert not undefined
    assert type(undefined)() is undefined
    assert repr(undefined) == "undefined"
