"""Validators: what each accepts, Convex's words for what it does not, and their JSON."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.errors import DeveloperError
from pyconvex.values import Int64, Value, v
from pyconvex.values.validators import Number, Object, ValidationFailed, Validator

USER = "j573n4e41xvx4p7e2dnt0jcc4n7ycp9q"
MESSAGE = "j973n4e41xvx4p7e2dnt0jcc4n7ycpj9"
FILE = "kg23n4e41xvx4p7e2dnt0jcc4n7yc6gk"

_TABLES = {10001: "users", 10002: "messages", 540: "_storage"}

SAMPLES: list[Value] = [
    None, True, False, 1, 1.0, 1.5, Int64(1), "", "a", "b", USER, MESSAGE, b"", b"a", [], ["a"], [1], {}, {"a": 1},
    {"a": "x"}, {"a": "x", "b": 1}, {USER: "x"},
]  # fmt: skip


def tables(number: int) -> str | None:
    return _TABLES.get(number)


def accepts(validator: Validator, value: Value) -> bool:
    try:
        result = validator.validate(value, tables)
    except ValidationFailed:
        return False
    assert result is value, "without an annotation nothing is coerced"
    return True


def reason(validator: Validator, value: Value) -> str:
    with pytest.raises(ValidationFailed) as caught:
        validator.validate(value, tables)
    assert str(caught.value) == caught.value.reason
    assert isinstance(caught.value, DeveloperError)
    return caught.value.reason


ACCEPTED: list[tuple[Validator, list[Value]]] = [
    (v.any(), SAMPLES),
    (v.null(), [None]),
    (v.boolean(), [True, False]),
    (v.number(), [1, 1.0, 1.5]),
    (v.float64(), [1, 1.0, 1.5]),
    (v.int64(), [Int64(1)]),
    (v.bigint(), [Int64(1)]),
    (v.string(), ["", "a", "b", USER, MESSAGE]),
    (v.bytes(), [b"", b"a"]),
    (v.id("users"), [USER]),
    (v.literal(1), [1, 1.0]),
    (v.literal(1.0), [1, 1.0]),
    (v.literal(Int64(1)), [Int64(1)]),
    (v.literal(True), [True]),
    (v.literal("a"), ["a"]),
    (v.array(v.string()), [[], ["a"]]),
    (v.array(v.any()), [[], ["a"], [1]]),
    (v.object({}), [{}]),
    (v.object({"a": v.string()}), [{"a": "x"}]),
    (v.object({"a": v.any()}), [{"a": 1}, {"a": "x"}]),
    (v.object({"a": v.optional(v.string())}), [{}, {"a": "x"}]),
    (v.object({"a": v.any(), "b": v.optional(v.number())}), [{"a": 1}, {"a": "x"}, {"a": "x", "b": 1}]),
    (v.record(v.string(), v.string()), [{}, {"a": "x"}, {USER: "x"}]),
    (v.record(v.id("users"), v.any()), [{}, {USER: "x"}]),
    (v.record(v.union(v.id("users"), v.id("messages")), v.string()), [{}, {USER: "x"}]),
    (v.union(), []),
    (v.union(v.string()), ["", "a", "b", USER, MESSAGE]),
    (v.union(v.null(), v.literal("a"), v.array(v.number())), [None, "a", [], [1]]),
    (v.union(v.literal("a"), v.literal("b")), ["a", "b"]),
    (v.union(v.literal("a"), v.id("users")), ["a", USER]),
    (v.union(v.literal(1), v.literal(True)), [True, 1, 1.0]),
    (v.nullable(v.boolean()), [None, True, False]),
]


@pytest.mark.parametrize(("validator", "accepted"), ACCEPTED)
def test_what_each_accepts(validator: Validator, accepted: list[Value]) -> None:
    for value in SAMPLES:
        expected = any(type(value) is type(sample) and value == sample for sample in accepted)
        assert accepts(validator, value) is expected, repr(value)
        assert accepts(v.object({"a": validator}), {"a": value}) is expected, repr(value)
        assert accepts(v.array(validator), [value, value]) is expected, repr(value)
        assert accepts(v.record(v.string(), validator), {"k": value}) is expected, repr(value)
        assert accepts(v.union(v.literal("nothing else"), validator), value) is expected, repr(value)


@pytest.mark.parametrize(
    ("validator", "value", "text"),
    [
        (v.string(), 5, "Value does not match validator.\n\nValue: 5.0\nValidator: v.string()"),
        (
            v.object({"a": v.array(v.object({"b": v.string()}))}),
            {"a": [{"b": "x"}, {"b": 5.0}]},
            "Value does not match validator.\nPath: .a[1].b\nValue: 5.0\nValidator: v.string()",
        ),
        (v.number(), Int64(5), "Value does not match validator.\n\nValue: 5n\nValidator: v.float64()"),
        (v.boolean(), 0, "Value does not match validator.\n\nValue: 0.0\nValidator: v.boolean()"),
        (v.null(), False, "Value does not match validator.\n\nValue: false\nValidator: v.null()"),
        (v.array(v.any()), {}, "Value does not match validator.\n\nValue: {}\nValidator: v.array(v.any())"),
        (
            v.int64(),
            5,
            (
                "Value does not match validator.\n\nValue: 5.0\nValidator: v.int64()\n"
                "Hint: write Int64(5); a plain int is a float64 in Convex"
            ),
        ),
        (v.int64(), 5.0, "Value does not match validator.\n\nValue: 5.0\nValidator: v.int64()"),
        (
            v.object({"x": v.string(), "y": v.optional(v.number())}),
            {},
            (
                "Object is missing the required field `x`. "
                "Consider wrapping the field validator in `v.optional(...)` if this is expected.\n\n"
                "Object: {}\nValidator: v.object({x: v.string(), y: v.optional(v.float64())})"
            ),
        ),
        (
            v.object({"o": v.object({"x": v.any()})}),
            {"o": {"y": None}},
            (
                "Object is missing the required field `x`. "
                "Consider wrapping the field validator in `v.optional(...)` if this is expected.\nPath: .o\n"
                "Object: {y: null}\nValidator: v.object({x: v.any()})"
            ),
        ),
        (
            v.object({"x": v.string()}),
            {"x": "a", "y": True},
            (
                "Object contains extra field `y` that is not in the validator.\n\n"
                'Object: {x: "a", y: true}\nValidator: v.object({x: v.string()})'
            ),
        ),
        (
            v.array(v.object({})),
            [{}, {"y": 1}],
            (
                "Object contains extra field `y` that is not in the validator.\nPath: [1]\n"
                "Object: {y: 1.0}\nValidator: v.object({})"
            ),
        ),
        (
            v.object({"x": v.optional(v.string())}),
            {"x": None},
            "Value does not match validator.\nPath: .x\nValue: null\nValidator: v.string()",
        ),
        (v.literal("a"), "b", '`"b"` does not match literal validator `v.literal("a")`.'),
        (v.literal(1), True, "`true` does not match literal validator `v.literal(1.0)`."),
        (
            v.object({"x": v.literal(True)}),
            {"x": 1},
            "`1.0` does not match literal validator `v.literal(true)`.Path: .x",
        ),
        (
            v.id("users"),
            MESSAGE,
            (
                f'Found ID "{MESSAGE}" from table `messages`, which does not match the table name in validator '
                '`v.id("users")`.'
            ),
        ),
        (
            v.id("users"),
            FILE,
            (
                f'Found ID "{FILE}" from system table `_storage`, which does not match the table name in validator '
                '`v.id("users")`.'
            ),
        ),
        (v.id("users"), "x", 'Value does not match validator.\n\nValue: "x"\nValidator: v.id("users")'),
        (
            v.id("users"),
            "j57000820c20a1g7104gm2rc1m70ynr9",
            'Value does not match validator.\n\nValue: "j57000820c20a1g7104gm2rc1m70ynr9"\nValidator: v.id("users")',
        ),
        (
            v.id("users"),
            "040020g30g2gc1r81450p30d1r7qke8",
            'Value does not match validator.\n\nValue: "040020g30g2gc1r81450p30d1r7qke8"\nValidator: v.id("users")',
        ),
        (v.union(), 1, "Value does not match validator.\n\nValue: 1.0\nValidator: v.union()"),
        (
            v.union(v.object({"x": v.string()})),
            {"x": 1},
            "Value does not match validator.\nPath: .x\nValue: 1.0\nValidator: v.string()",
        ),
        (
            v.object({"u": v.union(v.literal("a"), v.null())}),
            {"u": "b"},
            'Value does not match validator.\nPath: .u\nValue: "b"\nValidator: v.union(v.literal("a"), v.null())',
        ),
        (
            v.record(v.id("users"), v.string()),
            {"a": "x"},
            'Value does not match validator.\nPath: .keys()\nValue: "a"\nValidator: v.id("users")',
        ),
        (
            v.object({"r": v.record(v.string(), v.object({"n": v.string()}))}),
            {"r": {"a": {"n": 1}}},
            "Value does not match validator.\nPath: .r.values().n\nValue: 1.0\nValidator: v.string()",
        ),
        (
            Number(as_int=True),
            1.5,
            (
                "Value does not match validator.\n\nValue: 1.5\nValidator: v.float64()\n"
                "Hint: a whole number is needed here: it is annotated as int"
            ),
        ),
        (Number(as_int=True), Int64(1), "Value does not match validator.\n\nValue: 1n\nValidator: v.float64()"),
        (Number(as_float=True), True, "Value does not match validator.\n\nValue: true\nValidator: v.float64()"),
    ],
)
def test_what_is_said(validator: Validator, value: Value, text: str) -> None:
    assert reason(validator, value) == text


def test_the_failure_knows_its_path() -> None:
    with pytest.raises(ValidationFailed) as caught:
        v.object({"a b": v.array(v.string())}).validate({"a b": [1]}, tables)
    assert caught.value.path == '["a b"][0]'


@pytest.mark.parametrize(
    ("validator", "value", "handed_on"),
    [
        (Number(as_int=True), 3, 3),
        (Number(as_int=True), 3.0, 3),
        (Number(as_int=True), -0.0, 0),
        (Number(as_float=True), 3, 3.0),
        (Number(as_float=True), 3.5, 3.5),
        (v.array(Number(as_int=True)), [1, 2.0], [1, 2]),
        (v.record(v.string(), Number(as_float=True)), {"a": 1, "b": 1.5}, {"a": 1.0, "b": 1.5}),
        (v.union(v.null(), Number(as_float=True)), 1, 1.0),
        (v.union(Number(as_int=True)), 1.0, 1),
        (v.object({"a": v.optional(Number(as_int=True)), "b": v.any()}), {"a": 1.0, "b": 1.0}, {"a": 1, "b": 1.0}),
        (v.object({"o": v.object({"l": v.array(Number(as_int=True))})}), {"o": {"l": [1.0]}}, {"o": {"l": [1]}}),
    ],
)
def test_annotated_numbers_are_coerced_in_a_copy(validator: Validator, value: Value, handed_on: Value) -> None:
    before = repr(value)
    assert repr(validator.validate(value, tables)) == repr(handed_on)
    assert repr(value) == before


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 0.5])
def test_what_is_not_whole_is_no_int(number: float) -> None:
    with pytest.raises(ValidationFailed):
        Number(as_int=True).validate(number, tables)


@pytest.mark.parametrize(
    ("validator", "json", "text"),
    [
        (v.null(), {"type": "null"}, "v.null()"),
        (v.number(), {"type": "number"}, "v.float64()"),
        (v.int64(), {"type": "bigint"}, "v.int64()"),
        (v.boolean(), {"type": "boolean"}, "v.boolean()"),
        (v.string(), {"type": "string"}, "v.string()"),
        (v.bytes(), {"type": "bytes"}, "v.bytes()"),
        (v.any(), {"type": "any"}, "v.any()"),
        (v.id("users"), {"type": "id", "tableName": "users"}, 'v.id("users")'),
        (v.literal("a"), {"type": "literal", "value": "a"}, 'v.literal("a")'),
        (v.literal(1), {"type": "literal", "value": 1.0}, "v.literal(1.0)"),
        (v.literal(True), {"type": "literal", "value": True}, "v.literal(true)"),
        (v.literal(Int64(5)), {"type": "literal", "value": {"$integer": "BQAAAAAAAAA="}}, "v.literal(5n)"),
        (v.array(v.string()), {"type": "array", "value": {"type": "string"}}, "v.array(v.string())"),
        (
            v.object({"f": v.optional(v.null()), "a b": v.any()}),
            {
                "type": "object",
                "value": {
                    "f": {"fieldType": {"type": "null"}, "optional": True},
                    "a b": {"fieldType": {"type": "any"}, "optional": False},
                },
            },
            'v.object({f: v.optional(v.null()), "a b": v.any()})',
        ),
        (
            v.record(v.string(), v.any()),
            {
                "type": "record",
                "keys": {"type": "string"},
                "values": {"fieldType": {"type": "any"}, "optional": False},
            },
            "v.record(v.string(), v.any())",
        ),
        (
            v.nullable(v.string()),
            {"type": "union", "value": [{"type": "string"}, {"type": "null"}]},
            "v.union(v.string(), v.null())",
        ),
        (v.optional(v.string()), {"type": "string"}, "v.optional(v.string())"),
    ],
)
def test_json_and_text(validator: Validator, json: dict[str, object], text: str) -> None:
    assert repr(validator.json()) == repr(json)
    assert str(validator) == text


@pytest.mark.parametrize(
    ("validator", "kind"),
    [
        (v.number(), "float64"),
        (v.bigint(), "int64"),
        (v.object({}), "object"),
        (v.record(v.string(), v.any()), "record"),
        (v.id("t"), "id"),
    ],
)
def test_kind(validator: Validator, kind: str) -> None:
    assert validator.kind == kind


def test_introspection() -> None:
    fields = {"a": v.string(), "b": v.optional(v.array(v.number()))}
    thing = v.object(fields)
    assert dict(thing.fields) == fields
    assert not thing.optional
    assert thing.fields["b"].optional
    assert v.union(v.null(), thing).members == (v.null(), thing)
    assert v.record(v.string(), thing).values == thing
    assert v.array(thing).element == thing
    assert v.id("users").table == "users"
    assert v.literal("a").value == "a"


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (v.string(), v.string(), True),
        (v.string(), v.optional(v.string()), False),
        (v.optional(v.optional(v.string())), v.optional(v.string()), True),
        (v.number(), v.float64(), True),
        (v.number(), Number(as_int=True), False),
        (v.literal(1), v.literal(1.0), True),
        (v.literal(1), v.literal(True), False),
        (v.literal(1), v.literal(Int64(1)), False),
        (v.id("a"), v.id("b"), False),
        (v.object({"a": v.string(), "b": v.null()}), v.object({"b": v.null(), "a": v.string()}), True),
        (v.object({"a": v.string()}), v.object({"a": v.optional(v.string())}), False),
        (v.object({"a": v.number()}), v.object({"a": Number(as_int=True)}), False),
        (v.union(v.string(), v.null()), v.union(v.null(), v.string()), False),
        (v.array(v.string()), v.array(v.bytes()), False),
    ],
)
def test_equality(left: Validator, right: Validator, equal: bool) -> None:
    assert (left == right) is equal
    assert left != "v.string()"
    if equal:
        assert hash(left) == hash(right)


def test_helpers_of_objects_make_new_objects() -> None:
    user = v.object({"name": v.string(), "age": v.number()})
    assert user.extend({"age": v.null(), "x": v.any()}) == v.object({"name": v.string(), "age": v.null(), "x": v.any()})
    assert user.pick("age") == v.object({"age": v.number()})
    assert user.omit("age") == v.object({"name": v.string()})
    assert user.partial() == v.object({"name": v.optional(v.string()), "age": v.optional(v.number())})
    assert user == v.object({"name": v.string(), "age": v.number()})
    assert accepts(user.partial(), {})


def test_helpers_keep_whether_the_whole_is_optional() -> None:
    user = v.optional(v.object({"name": v.string()}))
    assert isinstance(user, Object)
    for changed in (user.extend({}), user.pick("name"), user.omit("name"), user.partial()):
        assert changed.optional


def test_optional_leaves_the_original_as_it_is() -> None:
    name = v.string()
    assert v.optional(name).optional
    assert not name.optional


def untyped(make: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: make(*arguments)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (untyped(v.id, 5), TypeError, "v.id(tableName) requires a string, not 5"),
        (untyped(v.literal, None), TypeError, "v.literal(value) must be a string, number, or boolean, not None"),
        (untyped(v.literal, [1]), TypeError, "v.literal(value) must be a string, number, or boolean, not [1]"),
        (untyped(v.literal, float("inf")), TypeError, "v.literal(value) must be a finite number, not inf"),
        (untyped(v.object, {"a": "x"}), TypeError, "v.object() entries must be validators: field `a`, not 'x'"),
        (untyped(v.object, {"a": v.string}), TypeError, "its parentheses are missing"),
        (untyped(v.object, {"a": None}), TypeError, "for None there is v.null()"),
        (untyped(v.object, [v.string()]), TypeError, "v.object() needs a mapping from field names to validators"),
        (untyped(v.object, {"$a": v.any()}), ValueError, "Field name '$a' starts with '$', which is reserved"),
        (untyped(v.object, {1: v.any()}), ValueError, "Object keys must be strings, not int: 1"),
        (untyped(v.union, v.null(), "x"), TypeError, "All members of v.union() must be validators, not 'x'"),
        (untyped(v.union, v.optional(v.null())), TypeError, "Union validator cannot have optional members"),
        (untyped(v.array, v.optional(v.null())), TypeError, "Array validator cannot have optional elements"),
        (untyped(v.array, v.null), TypeError, "its parentheses are missing"),
        (untyped(v.record, v.optional(v.string()), v.null()), TypeError, "Record validator cannot have optional keys"),
        (
            untyped(v.record, v.string(), v.optional(v.null())),
            TypeError,
            "Record validator cannot have optional values",
        ),
        (untyped(v.record, v.literal("a"), v.null()), TypeError, "Records cannot have string literal keys"),
        (untyped(v.record, v.union(v.literal("a")), v.null()), TypeError, "Records cannot have string literal keys"),
        (untyped(v.record, v.number(), v.null()), TypeError, "Records can only have string keys"),
        (untyped(v.record, "a", v.null()), TypeError, "v.record() needs a validator for its keys"),
        (untyped(v.optional, "a"), TypeError, "v.optional() needs a validator"),
        (untyped(v.object({"a": v.any()}).pick, "b"), ValueError, "there is no field `b` among `a`"),
        (untyped(v.object({"a": v.any()}).omit, "b"), ValueError, "there is no field `b` among `a`"),
    ],
)
def test_mistakes_in_making_one(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


@given(st.lists(st.sampled_from(SAMPLES), max_size=4), st.lists(st.integers(0, 3), unique=True, max_size=4))
def test_a_union_accepts_what_one_of_its_members_does(values: list[Value], chosen: list[int]) -> None:
    members: list[Validator] = [v.string(), v.array(v.string()), v.object({"a": v.number()}), v.literal(1)]
    members = [members[index] for index in chosen]
    for value in values:
        assert accepts(v.union(*members), value) is any(accepts(member, value) for member in members)
