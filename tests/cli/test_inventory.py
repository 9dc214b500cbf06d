"""Validators as people read them, made by the real validators."""

import pytest

from pyconvex.values import v
from pyconvex.values.validators import Validator
from pyconvex_cli.inventory import FunctionInfo, Inventory, arguments_text, type_text


@pytest.mark.parametrize(
    ("validator", "text"),
    [
        (v.string(), "string"),
        (v.number(), "number"),
        (v.int64(), "int64"),
        (v.null(), "null"),
        (v.any(), "any"),
        (v.id("users"), "Id.users"),
        (v.literal("a"), '"a"'),
        (v.literal(True), "true"),
        (v.array(v.id("users")), "list[Id.users]"),
        (v.record(v.string(), v.number()), "dict[string, number]"),
        (v.union(v.string(), v.null()), "string | null"),
        (v.object({"a": v.string(), "b": v.optional(v.bytes())}), "{a: string, b?: bytes}"),
    ],
)
def test_types(validator: Validator, text: str) -> None:
    assert type_text(validator.json()) == text


def test_arguments() -> None:
    args = v.object({"body": v.string(), "limit": v.optional(v.number())})
    assert arguments_text(args.json()) == "body: string, limit?: number"
    assert arguments_text(v.object({}).json()) == "–"
    assert arguments_text(v.any().json()) == "any"
    assert arguments_text(None) == ""


def test_an_inventory_is_what_a_deployment_says_of_itself() -> None:
    answer = {
        "functions": [
            {"path": "m:b", "kind": "mutation", "visibility": "internal", "args": None, "place": "convex/m.py:9"},
            {"path": "m:a", "kind": "query", "visibility": "public", "args": None, "place": "convex/m.py:3"},
        ],
        "routes": [{"path": "/x/*", "method": "GET", "handler": "m:x", "place": "convex/http.py:2", "form": "prefix"}],
    }
    inventory = Inventory.of_json(answer)
    assert inventory.functions == [
        FunctionInfo("m:a", "query", "public", None, None, "convex/m.py:3"),
        FunctionInfo("m:b", "mutation", "internal", None, None, "convex/m.py:9"),
    ]
    assert [each.kind_words for each in inventory.functions] == ["query", "internal mutation"]
    assert inventory.routes[0].form == "prefix"
