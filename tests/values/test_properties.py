"""What holds for every value: round trips, the order of keys, sizes, and that conversion copies."""

import math
from functools import cmp_to_key
from typing import cast

from convex.values import ConvexInt64, json_to_convex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyconvex.values import Int64, Value, undefined
from pyconvex.values.keys import after_prefix, behind, encode_key
from pyconvex.values.kinds import EXACT_INT_MAX, Undefined
from pyconvex.values.size import depth_of, document_size, size_of
from pyconvex.values.value import convert
from pyconvex.values.wire import decode, dump, encodable, encode, encode_clean, encode_export, load

NEGATIVE_NAN = math.copysign(math.nan, -1)

keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5).filter(lambda key: key[:1] != "$")
floats = st.floats(allow_nan=False) | st.sampled_from([math.nan, -0.0, 0.0])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["$integer", '"$', "\0"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-EXACT_INT_MAX, EXACT_INT_MAX),
    st.builds(Int64, st.integers(-(2**63), 2**63 - 1)),
    floats,
    texts,
    st.binary(max_size=8),
)


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)


values: st.SearchStrategy[Value] = st.recursive(scalars, _containers, max_leaves=12)
# Few different values, so that equal prefixes and near misses are common.
similar: st.SearchStrategy[Value] = st.recursive(
    st.one_of(
        st.sampled_from([None, False, True, 0, 1, -1, 0.0, -0.0, 1.0, math.nan, NEGATIVE_NAN, math.inf, -math.inf]),
        st.builds(Int64, st.sampled_from([0, 1, -1, 127, 128, -128, -129, 2**31, 2**63 - 1, -(2**63)])),
        st.text("\0\x01a\xff\uffff😀", max_size=3),
        st.lists(st.sampled_from([0, 1, 255]), max_size=3).map(bytes),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["", "a", "aa", "b"]), inner),
    max_leaves=6,
)
parts: st.SearchStrategy[list[Value | Undefined]] = st.lists(st.just(undefined) | similar | scalars, max_size=3)


def as_float64(value: Value) -> Value:
    """What Convex sees: every plain int as the float it is."""
    if type(value) is int:
        return float(value)
    if isinstance(value, list):
        return [as_float64(element) for element in value]
    if isinstance(value, dict):
        return {key: as_float64(item) for key, item in value.items()}
    return value


@given(values)
def test_what_is_dumped_is_loaded_as_it_was(value: Value) -> None:
    assert repr(load(dump(value))) == repr(value)
    assert repr(load(dump(value).decode())) == repr(value)


@given(values)
def test_what_is_encoded_is_decoded_as_float64(value: Value) -> None:
    assert repr(decode(encode(value))) == repr(as_float64(value))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_their_value_in_every_format(number: float) -> None:
    for write in (dump, encode_clean, encode_export):
        assert load(write(number)) == number


@given(values)
def test_the_official_client_reads_what_is_encoded(value: Value) -> None:
    read = json_to_convex(cast("str", encodable(as_float64(value))))
    assert repr(_from_official(read)) == repr(as_float64(value))


def _from_official(value: object) -> object:
    if isinstance(value, ConvexInt64):
        return Int64(value.value)
    if isinstance(value, list):
        return [_from_official(element) for element in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _from_official(item) for key, item in cast("dict[str, object]", value).items()}
    return value


def _type_rank(value: Value | Undefined) -> int:
    kinds: list[type] = [Undefined, type(None), Int64, float, bool, str, bytes, list, dict]
    return kinds.index(type(value))


def _compare_floats(left: float, right: float) -> int:
    def place(number: float) -> tuple[int, float, float]:
        sign = math.copysign(1.0, number)
        return (int(sign) if math.isnan(number) else 0), (0.0 if math.isnan(number) else number), sign

    return (place(left) > place(right)) - (place(left) < place(right))


def _compare_sequences(left: list[Value], right: list[Value]) -> int:
    for a, b in zip(left, right, strict=False):
        if order := compare(a, b):
            return order
    return len(left) - len(right)


def compare(left: Value | Undefined, right: Value | Undefined) -> int:
    """Convex's order of values, written down without any bytes."""
    left, right = (float(side) if type(side) is int else side for side in (left, right))
    if rank := _type_rank(left) - _type_rank(right):
        return rank
    match left, right:
        case float(), float():
            return _compare_floats(left, right)
        case (int(), int()) | (str(), str()) | (bytes(), bytes()):
            return (left > right) - (left < right)  # type: ignore[operator]  # both sides are of one kind
        case list(), list():
            return _compare_sequences(left, right)
        case dict(), dict():
            pairs = [[part for pair in sorted(side.items()) for part in pair] for side in (left, right)]
            return _compare_sequences(*cast("list[list[Value]]", pairs))
        case _:
            return 0


@settings(max_examples=400)
@given(parts, parts)
def test_keys_compare_as_their_values_do(left: list[Value | Undefined], right: list[Value | Undefined]) -> None:
    count = min(len(left), len(right))
    left, right = left[:count], right[:count]
    order = next((order for a, b in zip(left, right, strict=True) if (order := compare(a, b))), 0)
    left_key, right_key = encode_key(left), encode_key(right)
    assert (left_key > right_key) - (left_key < right_key) == (order > 0) - (order < 0)


@given(st.lists(similar | scalars, max_size=8))
def test_sorting_by_key_is_sorting_by_value(unsorted: list[Value]) -> None:
    by_key = sorted(unsorted, key=lambda value: encode_key([value]))
    by_value = sorted(unsorted, key=cmp_to_key(compare))
    assert [encode_key([value]) for value in by_key] == [encode_key([value]) for value in by_value]


@given(parts, similar | scalars, parts)
@example([b""], b"\0", [])
@example(["a"], "a\0b", [None])
def test_everything_that_begins_with_some_parts_lies_before_their_end(
    prefix: list[Value | Undefined], other: Value, rest: list[Value | Undefined]
) -> None:
    start = encode_key(prefix)
    inside = encode_key([*prefix, *rest])
    assert start <= inside < behind(start)
    if prefix and compare(other, prefix[-1]) > 0:
        assert encode_key([*prefix[:-1], other, *rest]) >= behind(start)


@given(st.binary(max_size=4), st.binary(max_size=4))
def test_every_text_with_a_prefix_lies_before_the_end_of_it(prefix: bytes, rest: bytes) -> None:
    stop = after_prefix(prefix)
    assert stop is None or prefix + rest < stop


def plain_size(value: Value) -> int:
    match value:
        case None | bool():
            return 1
        case int() | float():
            return 9
        case str():
            return 2 + len(value.encode())
        case bytes():
            return 2 + len(value)
        case list():
            return 2 + sum(plain_size(element) for element in value)
        case dict():
            return 2 + sum(len(key) + 1 + plain_size(item) for key, item in value.items())


@given(values)
def test_size_is_the_sum_of_the_table(value: Value) -> None:
    assert size_of(value) == plain_size(value)
    if isinstance(value, dict):
        document: dict[str, Value] = {**value, "_id": "0" * 32, "_creationTime": 1.0}
        assert document_size(value) == document_size(document) == plain_size(document)


@given(values)
def test_conversion_copies_and_changes_nothing(value: Value) -> None:
    converted = convert(value)
    assert repr(converted) == repr(value)
    if depth_of(value) > 0:
        assert converted is not value
        assert _containers_of(converted).isdisjoint(_containers_of(value))


def _containers_of(value: Value) -> set[int]:
    if isinstance(value, dict):
        return {id(value)}.union(*(_containers_of(item) for item in value.values()))
    if isinstance(value, list):
        return {id(value)}.union(*(_containers_of(item) for item in value))
    return set()


@given(values)
def test_no_json_says_null_where_there_is_a_value(value: Value) -> None:
    """The writer underneath turns NaN and Infinity into null when nobody stops it."""
    expected = repr(_without_texts(value)).count("None")
    for write in (encode, encode_clean, encode_export, dump):
        assert write(_without_texts(value)).count(b"null") == expected


def _without_texts(value: Value) -> Value:
    if isinstance(value, str):
        return ""
    if isinstance(value, list):
        return [_without_texts(element) for element in value]
    if isinstance(value, dict):
        return {str(place): _without_texts(item) for place, item in enumerate(value.values())}
    return value
