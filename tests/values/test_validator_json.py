"""Validators made from JSON, validators that contain others: what holds for all of them, and what is no validator."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyconvex.values import Int64, Value, v
from pyconvex.values.containment import contains
from pyconvex.values.validator_json import BadValidatorJson, validator_of
from pyconvex.values.validators import Object, ValidationFailed, Validator

USER = "j573n4e41xvx4p7e2dnt0jcc4n7ycp9q"
MESSAGE = "j973n4e41xvx4p7e2dnt0jcc4n7ycpj9"
_TABLES = {10001: "users", 10002: "messages"}

# Few different leaves and keys, so that values match often and miss by little.
keys = st.sampled_from(["a", "b", "_c", "long key", USER])
scalars: st.SearchStrategy[Value] = st.sampled_from(
    [None, True, False, 0, 1, 1.5, float("nan"), Int64(1), "a", "", USER, MESSAGE, b"a"]
)
values: st.SearchStrategy[Value] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
ids = st.sampled_from([v.id("users"), v.id("messages")])
leaves: st.SearchStrategy[Validator] = st.one_of(
    ids,
    st.sampled_from([v.any(), v.null(), v.boolean(), v.number(), v.int64(), v.string(), v.bytes(), v.union()]),
    st.sampled_from([1, 1.0, 0.5, -0.0, True, "a", Int64(1), Int64(-(2**63))]).map(v.literal),
)
record_keys: st.SearchStrategy[Validator] = st.one_of(ids, st.just(v.string()), st.just(v.union(v.id("users"))))


def _objects(inner: st.SearchStrategy[Validator]) -> st.SearchStrategy[Validator]:
    return st.dictionaries(keys, inner | inner.map(v.optional), max_size=3).map(v.object)


def _around(inner: st.SearchStrategy[Validator]) -> st.SearchStrategy[Validator]:
    unions = st.lists(inner, max_size=3).map(lambda members: v.union(*members))
    return st.one_of(inner.map(v.array), _objects(inner), st.builds(v.record, record_keys, inner), unions)


validators: st.SearchStrategy[Validator] = st.recursive(leaves, _around, max_leaves=6)


def verdict(validator: Validator, value: Value) -> str | None:
    """What it says of a value; None when the value matches."""
    try:
        validator.validate(value, _TABLES.get)
    except ValidationFailed as failed:
        return failed.reason
    return None


@given(validators, values)
def test_from_json_comes_the_same_validator(validator: Validator, value: Value) -> None:
    text = json.dumps(validator.json())
    again = validator_of(json.loads(text))
    assert again == validator and str(again) == str(validator)
    assert json.dumps(again.json()) == text
    assert verdict(again, value) == verdict(validator, value)


@settings(max_examples=500)
@given(validators, validators, values)
def test_what_matches_the_narrow_one_matches_what_contains_it(wide: Validator, narrow: Validator, value: Value) -> None:
    if contains(wide, narrow) and verdict(narrow, value) is None:
        assert verdict(wide, value) is None


@given(validators)
def test_every_validator_contains_itself_and_any_contains_it(validator: Validator) -> None:
    assert contains(validator, validator)
    assert contains(v.any(), validator)
    assert contains(v.union(v.null(), validator), validator)
    assert contains(v.nullable(validator), v.null())


NOTE = v.object({"text": v.string()})


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (NOTE.extend({"author": v.optional(v.string())}), NOTE, True),
        (NOTE.extend({"author": v.string()}), NOTE, False),
        (NOTE, NOTE.extend({"author": v.optional(v.string())}), False),
        (NOTE.partial(), NOTE, True),
        (NOTE, NOTE.partial(), False),
        (v.object({"text": v.union(v.string(), v.null())}), NOTE, True),
        (NOTE, v.object({"text": v.union(v.literal("a"), v.id("users"))}), True),
        (v.record(v.string(), v.string()), NOTE, True),
        (v.record(v.string(), v.string()), v.object({"_a": v.string()}), False),
        (v.record(v.id("users"), v.string()), v.record(v.string(), v.string()), False),
        (v.number(), v.literal(1), True),
        (v.number(), v.literal(True), False),
        (v.int64(), v.literal(Int64(1)), True),
        (v.literal(1), v.literal(True), False),
        (v.id("users"), v.id("messages"), False),
        (v.array(v.any()), v.array(v.string()), True),
        (v.union(), v.string(), False),
        (v.string(), v.union(), True),
    ],
)
def test_some_that_contain_others(wide: Validator, narrow: Validator, expected: bool) -> None:
    assert contains(wide, narrow) is expected


@pytest.mark.parametrize(
    ("described", "message"),
    [
        (None, "a validator is an object, not None"),
        ([], r"a validator is an object, not \[\]"),
        ({}, "there is no validator of type None"),
        ({"type": "date"}, "there is no validator of type 'date'"),
        ({"type": "id"}, "a validator of type 'id' needs 'tableName'"),
        ({"type": "id", "tableName": 5}, "requires a string"),
        ({"type": "literal", "value": None}, "must be a string, number, or boolean"),
        ({"type": "literal", "value": {"$float": "AAAAAAAA8H8="}}, "must be a finite number"),
        ({"type": "literal", "value": {"$odd": 1}}, "starts with"),
        ({"type": "array"}, "needs 'value'"),
        ({"type": "array", "value": {"type": "nothing"}}, "there is no validator of type 'nothing'"),
        ({"type": "object", "value": []}, "the fields of an object are an object"),
        ({"type": "object", "value": {"a": {"type": "any"}}}, "needs 'fieldType'"),
        ({"type": "object", "value": {"a": None}}, "the field of an object is an object, not None"),
        ({"type": "object", "value": {"$a": {"fieldType": {"type": "any"}, "optional": False}}}, "starts with"),
        ({"type": "union", "value": {}}, "the members of a union are a list"),
        ({"type": "union", "value": [1]}, "a validator is an object, not 1"),
        (
            {"type": "record", "keys": {"type": "number"}, "values": {"fieldType": {"type": "any"}, "optional": False}},
            "Records can only have string keys",
        ),
        (
            {"type": "record", "keys": {"type": "string"}, "values": {"fieldType": {"type": "any"}, "optional": True}},
            "cannot have optional values",
        ),
    ],
)
def test_what_is_no_validator(described: Any, message: str) -> None:
    with pytest.raises(BadValidatorJson, match=message):
        validator_of(described)


def test_what_a_validator_tells_of_itself() -> None:
    record = v.record(v.id("users"), v.string())
    fields = v.object({"a": v.optional(v.string())})
    assert (record.kind, record.key, record.value) == ("record", v.id("users"), v.string())
    assert v.id("users").table_name == "users"
    assert v.array(v.null()).element == v.null()
    assert v.union(v.null(), v.string()).members == (v.null(), v.string())
    assert v.literal("x").value == "x"
    assert not fields.is_optional and fields.fields["a"].is_optional
    assert isinstance(fields, Object)


def test_keys_of_records_do_not_start_with_an_underscore() -> None:
    reason = verdict(v.object({"r": v.record(v.string(), v.any())}), {"r": {"ok": 1, "_no": 2}})
    assert reason == (
        "Records cannot have keys that start with an underscore, like `_no`.\nPath: .r.keys()\n"
        "Object: {ok: 1.0, _no: 2.0}\nValidator: v.record(v.string(), v.any())"
    )
