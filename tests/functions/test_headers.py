"""`Headers`: the Fetch API's rules and a mapping's manners."""

from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.server import Headers


class Method(str, Enum):  # noqa: UP042 - str() of a StrEnum is no trap
    GET = "GET"


INITS: list[tuple[Any, list[tuple[str, str]]]] = [
    (None, []),
    ({}, []),
    ({"X-B": "2", "x-a": "1"}, [("x-a", "1"), ("x-b", "2")]),
    ({"n": 5, "f": 1.5, "b": b"\xe9"}, [("b", "é"), ("f", "1.5"), ("n", "5")]),
    ([("a", "1"), ("A", "2")], [("a", "1, 2")]),
    ([["a", " 1\t"], ("b", "")], [("a", "1"), ("b", "")]),
    ([("set-cookie", "b"), ("a", "1"), ("Set-Cookie", "a")], [("a", "1"), ("set-cookie", "b"), ("set-cookie", "a")]),
    (Headers({"a": "1"}), [("a", "1")]),
    (iter([("a", "1")]), [("a", "1")]),
    ({"a": True, "b": Method.GET}, [("a", "true"), ("b", "GET")]),
]


@pytest.mark.parametrize(("init", "items"), INITS)
def test_making(init: Any, items: list[tuple[str, str]]) -> None:
    headers = Headers(init)
    assert headers.items() == items
    assert list(headers) == headers.keys() == [name for name, _ in items]
    assert headers.values() == [value for _, value in items]
    assert len(headers) == len(items)


def test_a_copy_is_a_copy() -> None:
    first = Headers({"a": "1"})
    second = Headers(first)
    second.append("a", "2")
    assert (first["a"], second["a"]) == ("1", "1, 2")
    assert first != second
    assert first == Headers({"A": "1"})


def test_mapping_manners() -> None:
    headers = Headers({"X-Key": "k"})
    assert headers["x-key"] == headers["X-KEY"] == headers.get("X-Key") == "k"
    assert "X-KEY" in headers
    assert "other" not in headers
    assert 5 not in headers
    assert headers.get("other") is None
    assert headers.get("other", "default") == "default"
    headers["X-Key"] = "l"
    assert dict(headers) == {"x-key": "l"}  # pyright: ignore[reportArgumentType, reportCallIssue] - keys() and []
    del headers["x-key"]
    with pytest.raises(KeyError, match="x-key"):
        _ = headers["x-key"]
    with pytest.raises(KeyError, match="x-key"):
        del headers["x-key"]
    headers.delete("x-key")


def test_set_keeps_the_place_and_append_adds() -> None:
    headers = Headers([("a", "1"), ("b", "2"), ("a", "3")])
    headers.append("B", "4")
    headers.set("A", "5")
    assert headers.encoded() == [(b"a", b"5"), (b"b", b"2"), (b"b", b"4")]
    assert headers.get("b") == "2, 4"


def test_several_at_once() -> None:
    headers = Headers([("a", "1"), ("b", "2"), ("a", "3")])
    headers.update({"A": "4", "c": 5})
    headers.update([("d", "6"), ("d", "7")])
    assert headers.items() == [("a", "4"), ("b", "2"), ("c", "5"), ("d", "6, 7")]
    assert headers.setdefault("B", "9") == "2"
    assert headers.setdefault("E", 10) == "10"
    assert headers["e"] == "10"


def test_cookies_are_never_joined_when_sent() -> None:
    headers = Headers()
    assert headers.get_set_cookie() == []
    headers.append("Set-Cookie", "a=1; Path=/")
    headers.append("Set-Cookie", "b=2")
    assert headers.get_set_cookie() == ["a=1; Path=/", "b=2"]
    assert headers.encoded() == [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2")]


def test_incoming_headers_are_read_as_latin_1() -> None:
    headers = Headers.incoming([(b"X-Name", b"Zo\xeb"), (b"x-name", b"\xff"), (b"cookie", b"a=1")])
    assert headers.get("x-name") == "Zoë, ÿ"
    assert headers.items() == [("cookie", "a=1"), ("x-name", "Zoë, ÿ")]
    headers.set("cookie", "b=2")
    assert ("x-name", "Zoë, ÿ") in headers.items()
    assert Headers(Headers.incoming([(b"a", b"1")])).get("a") == "1"


BAD_NAMES = ["", "a b", "a:b", "é", "a\r\n", "(x)", "a\0"]
BAD_VALUES: list[tuple[object, str]] = [
    ("a\r\nb", "'\\r'"),
    ("a\nb", "'\\n'"),
    ("a\0b", "'\\x00'"),
    ("漢", "'漢'"),
    (None, "leave it out"),
    (["a", "b"], "give each value by itself"),
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name: str) -> None:
    headers = Headers()
    uses: list[Callable[[], object]] = [
        lambda: headers.get(name),
        lambda: headers.has(name),
        lambda: headers.delete(name),
        lambda: headers.set(name, "x"),
        lambda: Headers({name: "x"}),
    ]
    for use in uses:
        with pytest.raises(TypeError, match="not a valid header name"):
            use()


@pytest.mark.parametrize(("value", "message"), BAD_VALUES)
def test_bad_values(value: object, message: str) -> None:
    headers = Headers()
    uses: list[Callable[[], object]] = [
        lambda: headers.set("X-Y", value),
        lambda: headers.append("X-Y", value),
        lambda: headers.__setitem__("X-Y", value),
        lambda: Headers([("X-Y", value)]),
    ]
    for use in uses:
        with pytest.raises(TypeError) as caught:
            use()
        assert message in str(caught.value)
        assert "'X-Y'" in str(caught.value)


@pytest.mark.parametrize("init", [[("a",)], [("a", "b", "c")], ["ab"], [5]])
def test_pairs_are_pairs(init: Any) -> None:
    with pytest.raises(TypeError, match="pairs of a name and a value"):
        Headers(init)


NAMES = st.from_regex(r"[a-z-]{1,8}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=8).map(
    str.strip
)


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_what_is_sent_arrives(pairs: list[tuple[str, str]]) -> None:
    assert Headers.incoming(Headers(pairs).encoded()).encoded() == Headers(pairs).encoded()
    assert Headers.incoming(Headers(pairs).encoded()) == Headers(pairs)
