"""`/api/public_openapi.json`: a valid document, and what it says is so."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from openapi_spec_validator import validate

from pyconvex.http.openapi import document
from support.served import run, served

MODULES = {
    "messages": """
        from pyconvex.server import query
        from pyconvex.values import ConvexError

        @query
        async def echo(ctx, value: str):
            print("listing")
            if value == "fail":
                raise ConvexError({"code": 1})
            return value
    """
}


def resolved(described: Any) -> Any:
    """`described` with its references replaced by what they name."""
    if isinstance(described, list):
        return [resolved(each) for each in cast("list[Any]", described)]
    if not isinstance(described, dict):
        return described
    parts = cast("dict[str, Any]", described)
    if "$ref" not in parts:
        return {key: resolved(value) for key, value in parts.items()}
    found: Any = document("1", "http://x")
    for part in str(parts["$ref"]).removeprefix("#/").split("/"):
        found = found[part]
    return resolved(found)


def test_the_document_is_valid() -> None:
    validate(document("0.1.0", "http://127.0.0.1:3210"))


def test_every_endpoint_it_describes_is_there_and_answers_as_described(tmp_path: Path) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema")
    bodies: dict[str, object] = {
        "FunctionCall": {"path": "messages:echo", "args": {"value": "a"}},
        "FunctionArguments": {"args": {"value": "fail"}},
        "QueryBatch": {"queries": [{"path": "messages:echo", "args": [{"value": "a"}]}]},
    }

    async def story() -> None:
        async with served(tmp_path, MODULES) as server:
            told = (await server.send("/api/public_openapi.json", api=True)).json
            assert told == json.loads(json.dumps(document(server.host.deployment.version, server.host.urls.cloud)))
            ts = (await server.call("/api/query_ts", b"")).json["ts"]
            bodies["FunctionCallAt"] = {"path": "messages:echo", "args": {"value": "a"}, "ts": ts}
            for path, methods in told["paths"].items():
                operation = methods["post"]
                content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                body = bodies.get(name, {})
                if name:
                    jsonschema.validate(body, resolved(content["schema"]))
                reply = await server.call(path.replace("{module}/{function}", "messages/echo"), body)
                assert reply.status == 200, (path, reply.text)
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
                jsonschema.validate(reply.json, resolved(schema))
            refused = await server.call("/api/query", b"")
            jsonschema.validate(refused.json, resolved({"$ref": "#/components/schemas/Refusal"}))

    run(story)
