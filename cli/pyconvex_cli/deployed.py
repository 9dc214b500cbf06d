"""What is served, or would be: asked from a running deployment, else read from the folder."""

import typer

from pyconvex_cli.deployment import address_of
from pyconvex_cli.inventory import Inventory
from pyconvex_cli.project import find_project, project_settings


def deployed(ctx: typer.Context, url: str | None, admin_key: str | None) -> tuple[Inventory, tuple[str, str] | None]:
    """The functions and routes, and the two addresses (API, site) of the deployment that told them, if one did.

    Raises `LoadFailed` when the folder has to be read and cannot be loaded.
    """
    remote = address_of(ctx, url, admin_key)
    if remote is not None:
        answer = remote.get("/api/pyconvex/deployment")
        return Inventory.of_json(answer), (answer["urls"]["cloud"], answer["urls"]["site"])
    from pyconvex.http.admin_api import describe
    from pyconvex_cli.local import load_folder

    project = find_project()
    registry = load_folder(ctx, project, project_settings(ctx, project)).registry
    return Inventory.of_json(describe(registry)), None
