"""Values as JSON, against the vectors of Convex's own implementations."""

import json
import math
from typing import Any

import pytest

from pyconvex.values import Int64, Value
from pyconvex.values.value import InvalidValue
from pyconvex.values.wire import decode, decode_object, dump, encodable, encode, encode_clean, encode_export, load

NAN, INFINITY = math.nan, math.inf

VECTORS: list[tuple[Value, str]] = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (1.5, "1.5"),
    (5.0, "5.0"),
    (1e21, "1e21"),
    ("hé", '"hé"'),
    ("", '""'),
    (Int64(0), '{"$integer":"AAAAAAAAAAA="}'),
    (Int64(5), '{"$integer":"BQAAAAAAAAA="}'),
    (Int64(7), '{"$integer":"BwAAAAAAAAA="}'),
    (Int64(-1), '{"$integer":"//////////8="}'),
    (Int64(-3), '{"$integer":"/f////////8="}'),
    (Int64(2**63 - 1), '{"$integer":"/////////38="}'),
    (Int64(-(2**63)), '{"$integer":"AAAAAAAAAIA="}'),
    (NAN, '{"$float":"AAAAAAAA+H8="}'),
    (INFINITY, '{"$float":"AAAAAAAA8H8="}'),
    (-INFINITY, '{"$float":"AAAAAAAA8P8="}'),
    (-0.0, '{"$float":"AAAAAAAAAIA="}'),
    (b"\x01\x02\x03\xfe", '{"$bytes":"AQID/g=="}'),
    (b"", '{"$bytes":""}'),
    ([], "[]"),
    ({}, "{}"),
    ([1.0, [None, {"a": Int64(5)}]], '[1.0,[null,{"a":{"$integer":"BQAAAAAAAAA="}}]]'),
]


def same(left: object, right: object) -> bool:
    """Equality that tells 1 from 1.0, True and Int64(1), 0.0 from -0.0, and NaN from everything but itself."""
    return repr(left) == repr(right)


@pytest.mark.parametrize(("value", "text"), VECTORS)
def test_reference_vectors(value: Value, text: str) -> None:
    assert encode(value).decode() == text
    assert same(decode(text), value)
    assert same(decode(text.encode()), value)
    assert same(decode_object(json.loads(text)), value)
    assert same(encodable(value), json.loads(text))
    assert dump(value).decode() == text
    assert same(load(text), value)


def test_an_int_leaves_as_a_float_and_is_stored_as_an_int() -> None:
    value: Value = {"a": 3, "b": [3, 3.0, True], "c": 2**53}
    assert encode(value) == b'{"a":3.0,"b":[3.0,3.0,true],"c":9007199254740992.0}'
    assert encode_clean(value) == encode_export(value) == encode(value)
    assert dump(value) == b'{"a":3,"b":[3,3.0,true],"c":9007199254740992}'
    assert same(load(dump(value)), value)


def test_writing_leaves_the_value_as_it_is() -> None:
    value: Value = {"a": 3, "b": [Int64(1), {"c": NAN}]}
    before = repr(value)
    for write in (encode, encode_clean, encode_export, dump):
        write(value)
    assert repr(value) == before


@pytest.mark.parametrize(
    ("value", "clean", "export"),
    [
        (Int64(5), '"5"', "5"),
        (5.0, "5.0", "5.0"),
        (-0.0, "-0.0", "-0.0"),
        (0.0, "0.0", "0.0"),
        (NAN, '"NaN"', '{"$float":"AAAAAAAA+H8="}'),
        (INFINITY, '"Infinity"', '{"$float":"AAAAAAAA8H8="}'),
        (-INFINITY, '"-Infinity"', '{"$float":"AAAAAAAA8P8="}'),
        (b"\x01\x02\x03\xfe", '"AQID/g=="', '{"$bytes":"AQID/g=="}'),
        ({"a": [None, True, "x"]}, '{"a":[null,true,"x"]}', '{"a":[null,true,"x"]}'),
    ],
)
def test_the_other_formats(value: Value, clean: str, export: str) -> None:
    assert encode_clean(value).decode() == clean
    assert encode_export(value).decode() == export


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("5.0", 5.0),
        ("5e0", 5.0),
        ("9007199254740992", 2**53),
        ("9007199254740993", 9007199254740992.0),
        ("-9007199254740993", -9007199254740992.0),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"_x":1,"":2,"a b":3}', {"_x": 1, "": 2, "a b": 3}),
        ('{"a":{"$float":"AAAAAAAAAAA="}}', {"a": 0.0}),
        ('"$integer"', "$integer"),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_decoding(text: str, value: Value) -> None:
    assert same(decode(text), value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[1,", "not valid JSON"),
        ("NaN", "not valid JSON"),
        ("[Infinity]", "not valid JSON"),
        ("1e999", "not valid JSON"),
        ('"\\ud800"', "not valid JSON"),
        ('"\\udc00x"', "not valid JSON"),
        (b'"\xff"', "not valid JSON"),
        (b'"\xed\xa0\x80"', "not valid JSON"),
        ('"\ud800"', "not valid JSON"),
        ("1" * 400, "beyond the range of a float64"),
        ('{"$x":1}', "Field name '$x' starts with '$'"),
        ('{"$undefined":null}', "Field name '$undefined' starts with '$'"),
        ('{"$commitTs":null}', "Field name '$commitTs' starts with '$'"),
        ('{"$integer":"AAAAAAAAAAA=","a":1}', "Field name '$integer' starts with '$'"),
        ('{"$integer":5}', "`$integer` must be a text in base64"),
        ('{"$integer":"AAAAAAAAAAA"}', "`$integer` must be a text in base64"),
        ('{"$integer":"AA=="}', "`$integer` must have 8 bytes, not 1"),
        ('{"$float":"AA=="}', "`$float` must have 8 bytes, not 1"),
        ('{"$float":"AAAAAAAA8D8="}', "write 1.0 as a JSON number"),
        ('{"$float":"AQAAAAAAAAA="}', "write 5e-324 as a JSON number"),
        ('{"$bytes":"*"}', "`$bytes` must be a text in base64"),
        ('{"é":1}', "Field name 'é' has a character that is not printable ASCII"),
        ('{"a\\n":1}', "has a character that is not printable ASCII"),
        (json.dumps({"k" * 1025: 1}), "has 1025 characters"),
        (json.dumps([1] * 8193), "Array length is too long (8193 > maximum length 8192)"),
        (json.dumps({str(n): n for n in range(1025)}), "Object has too many fields (1025 > maximum number 1024)"),
        ("[" * 65 + "]" * 65, "Value is too nested"),
        ("[" * 100_000, "Value is too nested"),
    ],
)
def test_what_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        decode(text)
    assert message in str(caught.value)


def test_the_limits_themselves_are_allowed() -> None:
    deep = "[" * 64 + "]" * 64
    assert encode(decode(deep)).decode() == deep
    assert decode(json.dumps([1] * 8192)) == [1] * 8192
    assert len(json.loads(encode(decode(json.dumps({str(n): n for n in range(1024)}))))) == 1024
    assert decode(json.dumps({"k" * 1024: 1})) == {"k" * 1024: 1}


def test_a_refusal_names_the_path_and_the_whole() -> None:
    with pytest.raises(InvalidValue) as caught:
        decode('{"items":[{"a b":{"$bytes":5}}]}')
    assert str(caught.value) == (
        '`$bytes` must be a text in base64 (present at path .items[0]["a b"] '
        'in original object {items: [{"a b": {"$bytes": 5.0}}]})'
    )


def test_parsed_json_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidValue, match="has a lone surrogate, which is no Unicode character"):
        decode_object(json.loads('{"a":"\\ud800"}'))


def test_parsed_json_is_not_shared() -> None:
    parsed: dict[str, Any] = {"a": [1, {}]}
    value = decode_object(parsed)
    parsed["a"][1]["b"] = 2
    parsed["a"].append(3)
    assert value == {"a": [1, {}]}


def test_what_is_no_value_is_never_written_silently() -> None:
    for write in (encode, encode_clean, encode_export, dump):
        with pytest.raises(InvalidValue, match="tuple"):
            write({"a": [(NAN,)]})  # type: ignore[dict-item]  # this is the mistake
