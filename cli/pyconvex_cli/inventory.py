"""What a deployment offers, as the tables, `--json` and `--curl` need it: from a registry or from a running server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """One function. `args` and `returns` are validator JSON, `place` is `convex/messages.py:24`."""

    path: str
    kind: str
    visibility: str
    args: Mapping[str, Any] | None
    returns: Mapping[str, Any] | None
    place: str

    @property
    def kind_words(self) -> str:
        """`query`, `internal mutation`."""
        return f"internal {self.kind}" if self.visibility == "internal" else self.kind


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """One route. `path` is as shown: prefixes end with `*`; `form` is exact, pattern, prefix or mount.

    `names_cors` is whether its code names `Access-Control-Allow-Origin`.
    """

    path: str
    method: str
    handler: str
    place: str
    form: str
    names_cors: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a deployment offers. `cors` are the arguments of the router's `Cors`, if it has one."""

    functions: Sequence[FunctionInfo]
    routes: Sequence[RouteInfo]
    cors: Mapping[str, Any] | None = None

    @classmethod
    def of_json(cls, answer: Mapping[str, Any]) -> "Inventory":
        """From what `GET /api/pyconvex/deployment` answers, which is what `describe` makes of a registry."""
        functions = [
            FunctionInfo(
                each["path"], each["kind"], each["visibility"], each.get("args"), each.get("returns"), each["place"]
            )
            for each in answer["functions"]
        ]
        routes = [
            RouteInfo(
                each["path"],
                each["method"],
                each["handler"],
                each["place"],
                each["form"],
                each.get("namesCors", False),
            )
            for each in answer["routes"]
        ]
        return cls(sorted(functions, key=lambda each: each.path), routes, answer.get("cors"))


def arguments_text(validator: Mapping[str, Any] | None) -> str:
    """An args validator for people: `body: string, limit?: number`; `–` for none, `any` for anything."""
    if validator is None or validator.get("type") != "object":
        return "any" if validator else ""
    return ", ".join(_field(name, each) for name, each in validator["value"].items()) or "–"


def type_text(validator: Mapping[str, Any]) -> str:
    """One validator for people, in the words of the Python API: `list[Id.users]`, `"a" | "b"`, `{x: number}`."""
    match validator["type"]:
        case "id":
            return f"Id.{validator['tableName']}"
        case "literal":
            return _literal(validator["value"])
        case "array":
            return f"list[{type_text(validator['value'])}]"
        case "object":
            return "{" + ", ".join(_field(name, each) for name, each in validator["value"].items()) + "}"
        case "record":
            return f"dict[{type_text(validator['keys'])}, {type_text(validator['values']['fieldType'])}]"
        case "union":
            return " | ".join(type_text(each) for each in validator["value"]) or "never"
        case "bigint":
            return "int64"
        case simple:
            return str(simple)


def _field(name: str, field: Mapping[str, Any]) -> str:
    return f"{name}{'?' if field['optional'] else ''}: {type_text(field['fieldType'])}"


def _literal(value: object) -> str:
    return "int64" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)
