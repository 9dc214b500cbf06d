"""Values read back from index keys, and from the borders of ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.values import Int64, Value, undefined
from pyconvex.values.key_values import key_values
from pyconvex.values.keys import encode_key
from pyconvex.values.value import Undefined

scalars: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.builds(Int64, st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 127, 128, -128, -129, 2**31])),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(["\0", "a\0", "\xff"]),
    st.binary(max_size=4) | st.sampled_from([b"\0", b"\xff", b"\0\xff"]),
)
names = st.sampled_from(["", "a", "ab", "z"])
values: st.SearchStrategy[Value] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
parts: st.SearchStrategy[list[Value | Undefined]] = st.lists(st.just(undefined) | values, min_size=1, max_size=3)


@given(parts, st.sampled_from([b"", b"\xff", b"\0"]))
def test_what_was_encoded_is_read_back(parts: list[Value | Undefined], border: bytes) -> None:
    """Behind whole values there may be the byte that makes a border."""
    read = key_values(encode_key(parts) + border)
    assert encode_key(read.values) == encode_key(parts)
    assert list(map(type, read.values)) == list(map(type, parts))
    assert read.rest == border


@given(st.binary(max_size=12))
def test_no_bytes_are_too_strange(key: bytes) -> None:
    read = key_values(key)
    assert encode_key(read.values) + read.rest == key or len(read.rest) < len(key)


@pytest.mark.parametrize(
    "key", [b"", b"\x0d\x01", b"\x0a\x01", b"\x10ab", b"\x10\xfe\x00", b"\x12\x03", b"\x12\x01\x00"]
)
def test_broken_keys_have_no_values(key: bytes) -> None:
    assert key_values(key) == ((), key)
