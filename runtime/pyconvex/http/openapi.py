"""`/api/public_openapi.json`: the client API as an OpenAPI document (https://spec.openapis.org/oas/v3.1.0).

It describes the endpoints, which are the same for every deployment, and not the functions behind them.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec

from .asgi import Exchange
from .deployment import Deployment
from .function_request import FORMATS
from .media import JSON

Json = dict[str, Any]

_TIMESTAMP: Final[Json] = {
    "type": "string",
    "description": "Base64 of a timestamp: 8 bytes, little-endian, nanoseconds since 1970.",
    "examples": ["gLLg/FFyhhg="],
}
_PATH: Final[Json] = {"type": "string", "description": "Path of a function.", "examples": ["messages:list"]}
_ARGS: Final[Json] = {
    "description": "The object of arguments, in Convex's encoded JSON; or a list that holds only that.",
    "oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}, "maxItems": 1}],
}
_FORMAT: Final[Json] = {
    "type": "string",
    "enum": sorted(FORMATS),
    "description": "How the result is written; `json` by default.",
}
_LOG_LINES: Final[Json] = {"type": "array", "items": {"type": "string"}, "examples": [["[LOG] 'hello'"]]}

_SCHEMAS: Final[dict[str, Json]] = {
    "FunctionCall": {
        "type": "object",
        "required": ["path", "args"],
        "properties": {"path": _PATH, "args": _ARGS, "format": _FORMAT},
    },
    "FunctionCallAt": {
        "allOf": [
            {"$ref": "#/components/schemas/FunctionCall"},
            {"type": "object", "required": ["ts"], "properties": {"ts": _TIMESTAMP}},
        ]
    },
    "FunctionArguments": {
        "type": "object",
        "required": ["args"],
        "properties": {"args": _ARGS, "format": _FORMAT},
    },
    "QueryBatch": {
        "type": "object",
        "required": ["queries"],
        "properties": {"queries": {"type": "array", "items": {"$ref": "#/components/schemas/FunctionCall"}}},
    },
    "Success": {
        "type": "object",
        "required": ["status", "value"],
        "properties": {
            "status": {"const": "success"},
            "value": {"description": "What the function returned."},
            "logLines": _LOG_LINES,
        },
    },
    "FunctionError": {
        "type": "object",
        "required": ["status", "errorMessage"],
        "properties": {
            "status": {"const": "error"},
            "errorMessage": {"type": "string"},
            "errorData": {"description": "What a ConvexError carries; absent for other errors."},
            "logLines": _LOG_LINES,
        },
    },
    "FunctionResult": {
        "oneOf": [{"$ref": "#/components/schemas/Success"}, {"$ref": "#/components/schemas/FunctionError"}],
        "discriminator": {
            "propertyName": "status",
            "mapping": {"success": "#/components/schemas/Success", "error": "#/components/schemas/FunctionError"},
        },
    },
    "FunctionResults": {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": {"$ref": "#/components/schemas/FunctionResult"}}},
    },
    "Timestamp": {"type": "object", "required": ["ts"], "properties": {"ts": _TIMESTAMP}},
    "Refusal": {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string", "examples": ["BadJsonBody"]}, "message": {"type": "string"}},
    },
}

_QUERY_PARAMETERS: Final[list[Json]] = [
    {"name": "path", "in": "query", "required": True, "schema": _PATH},
    {"name": "args", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}},
    {"name": "format", "in": "query", "schema": _FORMAT},
]
_NAMED_IN_URL: Final[list[Json]] = [
    {
        "name": "module",
        "in": "path",
        "required": True,
        "description": "Path of the module; the slashes of one in a folder stay as they are.",
        "schema": {"type": "string", "examples": ["messages"]},
    },
    {"name": "function", "in": "path", "required": True, "schema": {"type": "string", "examples": ["list"]}},
]


class OpenApi:
    """The endpoint that describes the others."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def answer(self, exchange: Exchange) -> None:
        """GET `/api/public_openapi.json`."""
        await exchange.respond(200, JSON, _encoded(self._deployment.version, self._deployment.urls.cloud))


@lru_cache(maxsize=4)
def _encoded(version: str, address: str) -> bytes:
    return msgspec.json.encode(document(version, address))


def document(version: str, address: str) -> Json:
    """The document for a deployment at `address`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Convex HTTP API",
            "version": version,
            "description": "Runs the functions of a deployment. See https://docs.convex.dev/http-api/.",
        },
        "servers": [{"url": address}],
        "paths": _paths(),
        "components": {
            "schemas": _SCHEMAS,
            "responses": {"Refused": _answer("The request cannot be served.", "Refusal")},
            "securitySchemes": {
                "user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "admin": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Convex ` and the admin key of the deployment.",
                },
            },
        },
        "security": [{}, {"user": []}, {"admin": []}],
    }


def _paths() -> dict[str, Json]:
    query = _operation("query", "Run a query.", body="FunctionCall")
    by_url = {**_operation("queryByUrl", "Run a query that the URL names."), "parameters": _QUERY_PARAMETERS}
    run = _operation("run", "Run the function that the URL names, of any kind.", body="FunctionArguments")
    return {
        "/api/query": {"post": query, "get": by_url},
        "/api/query_batch": {
            "post": _operation("queryBatch", "Run queries at one timestamp.", "QueryBatch", "FunctionResults")
        },
        "/api/query_ts": {"post": _operation("queryTs", "The timestamp of the latest commit.", answer="Timestamp")},
        "/api/query_at_ts": {"post": _operation("queryAtTs", "Run a query at a recent timestamp.", "FunctionCallAt")},
        "/api/mutation": {"post": _operation("mutation", "Run a mutation.", "FunctionCall")},
        "/api/action": {"post": _operation("action", "Run an action.", "FunctionCall")},
        "/api/function": {"post": _operation("function", "Run a function of any kind.", "FunctionCall")},
        "/api/run/{module}/{function}": {"post": {**run, "parameters": _NAMED_IN_URL}},
    }


def _operation(name: str, summary: str, body: str | None = None, answer: str = "FunctionResult") -> Json:
    described = _answer("How the function ended, well or not." if answer != "Timestamp" else summary, answer)
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": described, "default": {"$ref": "#/components/responses/Refused"}},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _content(body)}
    return operation


def _answer(description: str, schema: str) -> Json:
    return {"description": description, "content": _content(schema)}


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
