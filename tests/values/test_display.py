"""Values as people read them: in log lines and in error messages."""

import math

import pytest

from pyconvex.values import Int64, Value, undefined
from pyconvex.values.display import ERROR_CHARACTERS_MAX, display, display_in_error


class Opaque:
    pass


class Named:
    def __repr__(self) -> str:
        return "Named(1)"


class Failing:
    def __repr__(self) -> str:
        raise RuntimeError


LOGGED: list[tuple[object, str]] = [
    ("a", "'a'"),
    ("it's\n\\", "'it\\'s\\n\\\\'"),
    ("hé\x00", "'hé\\x00'"),
    (42, "42"),
    (1.5, "1.5"),
    (3.0, "3.0"),
    (1e21, "1e+21"),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
    (True, "true"),
    (False, "false"),
    (None, "null"),
    (undefined, "undefined"),
    (Int64(5), "5n"),
    (b"\x01a", "b'\\x01a'"),
    ([], "[]"),
    (["a", 42], "[ 'a', 42 ]"),
    ([["a"], []], "[ [ 'a' ], [] ]"),
    ({}, "{}"),
    ({"a": 1, "b c": "x", 3: None}, "{ a: 1, 'b c': 'x', 3: null }"),
    ({"property": "value", "nested_object": {}}, "{\n  property: 'value',\n  nested_object: {}\n}"),
    ({"a": {"b": [1, {"c": []}]}}, "{\n  a: {\n    b: [\n      1,\n      {\n        c: []\n      }\n    ]\n  }\n}"),
    ([{"a": 1}, {"b": 2}], "[ { a: 1 }, { b: 2 } ]"),
    ((1, "a"), "(1, 'a')"),
    ({1}, "{1}"),
    (Named(), "Named(1)"),
    (Opaque(), "<Opaque>"),
    (Failing(), "<Failing, whose repr raises RuntimeError>"),
    (ValueError("no"), "ValueError('no')"),
]


@pytest.mark.parametrize(("value", "text"), LOGGED)
def test_in_a_log_line(value: object, text: str) -> None:
    assert display(value) == text


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[object] = [1]
    loop.append({"again": loop})
    assert display(loop) == "[\n  1,\n  {\n    again: [Circular]\n  }\n]"
    assert len(display_in_error(loop)) <= ERROR_CHARACTERS_MAX + 1


def test_a_value_that_is_there_twice_is_shown_twice() -> None:
    shared = [1]
    assert display([shared, shared]) == "[ [ 1 ], [ 1 ] ]"


IN_ERRORS: list[tuple[Value, str]] = [
    ("a", '"a"'),
    ('é"\n', '"é\\"\\n"'),
    (5, "5.0"),
    (5.0, "5.0"),
    (-0.0, "-0.0"),
    (math.nan, "NaN"),
    (-math.inf, "-Infinity"),
    (Int64(5), "5n"),
    (True, "true"),
    (None, "null"),
    (b"a", "b'a'"),
    (["a", 5, []], '["a", 5.0, []]'),
    ({"a": 1, "b c": {}, "d": [None]}, '{a: 1.0, "b c": {}, d: [null]}'),
]


@pytest.mark.parametrize(("value", "text"), IN_ERRORS)
def test_in_an_error(value: Value, text: str) -> None:
    assert display_in_error(value) == text


def test_an_error_shows_the_beginning_of_what_is_long() -> None:
    text = display_in_error(["x" * 50] * 8192)
    assert text.startswith('["xxx')
    assert text.endswith("…")
    assert len(text) == ERROR_CHARACTERS_MAX + 1
