"""`.env.local`: where front ends find the deployment. Only our own lines are ever touched."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from pyconvex_cli.json_objects import is_object

HEADER = "# Written by `pyconvex dev`: where this project's deployment answers."

_FRONT_ENDS = {
    "next": "NEXT_PUBLIC_",
    "expo": "EXPO_PUBLIC_",
    "@sveltejs/kit": "PUBLIC_",
    "astro": "PUBLIC_",
    "nuxt": "NUXT_PUBLIC_",
    "react-scripts": "REACT_APP_",
    "vite": "VITE_",
}
"""Which prefix a tool demands before it lets a variable into the browser; several build on vite, so that comes last."""


def env_local_values(project: Path, url: str, site_url: str) -> dict[str, str]:
    """The variables that belong into this project's `.env.local`."""
    values = {"CONVEX_URL": url, "CONVEX_SITE_URL": site_url}
    prefix = _prefix(project / "package.json")
    return values | {f"{prefix}{name}": value for name, value in values.items()} if prefix else values


def update_env_local(project: Path, values: Mapping[str, str]) -> bool:
    """Brings `.env.local` up to date; whether it had to be written. Raises `OSError`."""
    path = project / ".env.local"
    before = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    after = updated(before, values)
    if after == before:
        return False
    path.write_bytes(after.encode("utf-8", "surrogateescape"))
    return True


def updated(text: str, values: Mapping[str, str]) -> str:
    """`text` with these variables set: in the line they have already, else at the end.

    >>> updated("A=1\\nCONVEX_URL=old # note\\n", {"CONVEX_URL": "new"})
    'A=1\\nCONVEX_URL=new\\n'
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    added: list[str] = []
    for name, value in values.items():
        line = re.compile(rf"^([ \t]*(?:export[ \t]+)?{re.escape(name)}[ \t]*=)[^\r\n]*", re.MULTILINE)
        if line.search(text):
            text = line.sub(lambda found, value=value: f"{found[1]}{value}", text)
        else:
            added.append(f"{name}={value}")
    if not added:
        return text
    if text and not text.endswith("\n"):
        text += newline
    lines = added if HEADER in text else [*([""] if text else []), HEADER, *added]
    return text + newline.join(lines) + newline


def _prefix(package: Path) -> str | None:
    try:
        content: object = json.loads(package.read_bytes())
    except (OSError, ValueError):
        return None
    names: set[str] = set()
    if is_object(content):
        for group in ("dependencies", "devDependencies"):
            listed: object = content.get(group)
            names |= set(listed) if is_object(listed) else set()
    return next((prefix for tool, prefix in _FRONT_ENDS.items() if tool in names), None)
