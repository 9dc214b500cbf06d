"""`pyconvex functions`: what can be called."""

import json as json_text
from collections.abc import Mapping
from typing import Any

import typer

from pyconvex_cli import flags
from pyconvex_cli.console import console
from pyconvex_cli.deployed import deployed
from pyconvex_cli.inventory import Inventory

_TYPES = {"query": "Query", "mutation": "Mutation", "action": "Action"}
_ANY: Mapping[str, Any] = {"type": "any"}


def functions(
    ctx: typer.Context,
    json: flags.Json = False,
    url: flags.Url = None,
    admin_key: flags.AdminKey = None,
) -> None:
    """Show the functions: kind, arguments, place. --json prints Convex's function-spec."""
    inventory, addresses = deployed(ctx, url, admin_key)
    if json:
        console.data(json_text.dumps(function_spec(inventory, addresses[0] if addresses else None), indent=2))
        return
    from pyconvex_cli.tables import function_table

    if inventory.functions:
        console.data(function_table(inventory.functions, console.out))
    else:
        console.say("no functions")


def function_spec(inventory: Inventory, url: str | None) -> dict[str, Any]:
    """The JSON of Convex's `function-spec` (https://docs.convex.dev/cli#output-function-spec)."""
    functions: list[dict[str, Any]] = [
        {
            "identifier": each.path.replace(":", ".js:"),
            "functionType": _TYPES[each.kind],
            "visibility": {"kind": each.visibility},
            "args": each.args or _ANY,
            "returns": each.returns or _ANY,
        }
        for each in inventory.functions
    ]
    functions += [{"functionType": "HttpAction", "method": each.method, "path": each.path} for each in inventory.routes]
    return {"url": url, "functions": functions}
