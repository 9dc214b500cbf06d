"""What the conditions of `filter` say of one document, and what is no condition."""

import operator
from collections.abc import Callable
from itertools import product
from typing import Any, TypeAlias

import pytest

from pyconvex.engine.database.filters import condition_of
from pyconvex.errors import DeveloperError
from pyconvex.values import Int64, undefined

Ask: TypeAlias = Callable[[Any], Any]
MOST, LEAST = Int64(2**63 - 1), Int64(-(2**63))
IN_ORDER: list[Any] = [
    *(undefined, None, LEAST, Int64(1), float("-inf"), -1.5, 0, 1, 1.5, float("inf"), False, True),
    *("", "a", "\uffff", "\U00010000", b"", b"a", [], [None], [1], {}, {"a": 1}),
]
"""One of each kind, and some between which only the value decides."""
ROW: dict[str, Any] = {
    **{f"v{place}": value for place, value in enumerate(IN_ORDER) if value is not undefined},
    "inner": {"n": 4, "none": None},
    "list": [1],
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def answer(predicate: Ask) -> bool:
    found = condition_of(predicate).evaluate(ROW)
    assert found is True or found is False
    return found


def refusal(predicate: Ask) -> str:
    with pytest.raises(DeveloperError) as refused:
        answer(predicate)
    return refused.value.message


@pytest.mark.parametrize("name", COMPARE)
def test_any_two_values_compare_by_their_place_in_the_order(name: str) -> None:
    for (first, a), (second, b) in product(enumerate(IN_ORDER), repeat=2):
        expected = COMPARE[name](first, second)
        assert answer(lambda q, a=a, b=b: getattr(q, name)(a, b)) is expected, (a, b)
        fields = f"v{first}", f"v{second}"
        assert answer(lambda q, f=fields: getattr(q, name)(q.field(f[0]), q.field(f[1]))) is expected, (a, b)


@pytest.mark.parametrize(
    ("path", "value"),
    [("inner.n", 4), ("inner.none", None), ("inner.n.x", undefined), ("list.0", undefined), ("x.y", undefined)],
)
def test_fields_inside_of_objects(path: str, value: Any) -> None:
    assert answer(lambda q: q.eq(q.field(path), value))


SUMS: list[tuple[Ask, Any]] = [
    (lambda q: q.add(1, 2), 3),
    (lambda q: q.sub(1, 2), -1),
    (lambda q: q.mul(3, 2), 6),
    (lambda q: q.div(1, 2), 0.5),
    (lambda q: q.div(1, 0), float("inf")),
    (lambda q: q.mod(-7, 3), -1),
    (lambda q: q.neg(2), -2),
    (lambda q: q.add(Int64(1), Int64(2)), Int64(3)),
    (lambda q: q.sub(Int64(1), Int64(2)), Int64(-1)),
    (lambda q: q.mul(Int64(3), Int64(2)), Int64(6)),
    (lambda q: q.div(Int64(-7), Int64(2)), Int64(-3)),
    (lambda q: q.mod(Int64(-7), Int64(2)), Int64(-1)),
    (lambda q: q.neg(MOST), Int64(1 - 2**63)),
    (lambda q: q.neg(q.field("inner.n")), -4),
    (lambda q: q.add(q.field("inner.n"), q.mul(2, q.field("inner.n"))), 12),
]


@pytest.mark.parametrize(("sum", "expected"), SUMS)
def test_sums(sum: Ask, expected: Any) -> None:
    assert answer(lambda q: q.eq(sum(q), expected))
    # An int64 equals no float64, and the other way round.
    of_the_other_type = float(expected) if isinstance(expected, Int64) else Int64(1)
    assert answer(lambda q: q.neq(sum(q), of_the_other_type))


NO_SUMS: list[tuple[Ask, str]] = [
    (lambda q: q.add(1, Int64(1)), "Cannot add a float64 and a int64"),
    (lambda q: q.sub(None, True), "Cannot subtract a null and a boolean"),
    (lambda q: q.mul(b"", []), "Cannot multiply a bytes and a array"),
    (lambda q: q.div({}, "x"), "Cannot divide a object and a string"),
    (lambda q: q.mod(q.field("x"), 1), "Cannot take the remainder of a undefined and a float64"),
    (lambda q: q.neg("a"), "Cannot negate a string"),
    (lambda q: q.neg(q.field("x")), "Cannot negate a undefined"),
    (lambda q: q.div(Int64(1), Int64(0)), "Cannot divide 1 and 0: division by zero"),
    (lambda q: q.mod(Int64(1), Int64(0)), "Cannot take the remainder of 1 and 0: division by zero"),
    (
        lambda q: q.add(MOST, Int64(1)),
        f"Cannot add {2**63 - 1} and 1: {2**63} does not fit into a 64-bit signed integer",
    ),
    (
        lambda q: q.neg(LEAST),
        f"Cannot negate {-(2**63)}: {2**63} does not fit into a 64-bit signed integer",
    ),
]


@pytest.mark.parametrize(("sum", "message"), NO_SUMS)
def test_sums_that_are_none(sum: Ask, message: str) -> None:
    assert refusal(lambda q: q.eq(sum(q), 1)) == message


LOGIC: list[tuple[Ask, bool]] = [
    (lambda q: True, True),
    (lambda q: q.and_(), True),
    (lambda q: q.or_(), False),
    (lambda q: q.and_(True, q.eq(1, 1)), True),
    (lambda q: q.and_(True, False), False),
    (lambda q: q.or_(False, q.eq(1, 1)), True),
    (lambda q: q.or_(False, False), False),
    (lambda q: q.not_(q.eq(1, 2)), True),
    (lambda q: q.not_(True), False),
    # What decides nothing any more is not looked at.
    (lambda q: q.and_(False, 1), False),
    (lambda q: q.or_(True, 1), True),
]


@pytest.mark.parametrize(("condition", "expected"), LOGIC)
def test_logic(condition: Ask, expected: bool) -> None:
    assert answer(condition) is expected


NEITHER: list[tuple[Ask, str, str]] = [
    (lambda q: q.and_(1), "and_", "float64"),
    (lambda q: q.or_(None, True), "or_", "null"),
    (lambda q: q.not_("x"), "not_", "string"),
    (lambda q: q.field("inner"), "filter", "object"),
    (lambda q: q.field("x"), "filter", "undefined"),
    (lambda q: None, "filter", "null"),
    (lambda q: 0, "filter", "float64"),
]


@pytest.mark.parametrize(("condition", "operator", "kind"), NEITHER)
def test_what_is_neither_true_nor_false(condition: Ask, operator: str, kind: str) -> None:
    assert refusal(condition) == f"`{operator}` takes conditions that are true or false, but one was a {kind}"


def test_pythons_own_and_is_told_apart() -> None:
    with pytest.raises(DeveloperError) as refused:
        answer(lambda q: q.eq(1, 1) and q.eq(2, 2))
    assert refused.value.message == "An expression of a filter has no truth value of its own."
    assert refused.value.hint == (
        "Join conditions with `q.and_(...)`, `q.or_(...)` and `q.not_(...)`, not with `and`, `or`, `not`."
    )


def test_a_field_is_named_by_text() -> None:
    with pytest.raises(TypeError, match=r"^q\.field\(\) takes the path of a field as text, not int$"):
        answer(lambda q: q.eq(q.field(5), 1))
