"""The admin key of a deployment: made at its first start, readable by its owner only."""

import os
import re
from pathlib import Path

from pyconvex.clock import Clock

TOKEN_BYTES = 32


def admin_key(file: Path, name: str, clock: Clock) -> str:
    """The key in `file`, which is made (mode 600) when it is missing or holds none."""
    try:
        known = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    if re.fullmatch(r"[\w.-]+\|[0-9a-f]{32,}", known, re.ASCII):
        return known
    made = new_admin_key(name, clock)
    file.unlink(missing_ok=True)
    with open(file, "x", encoding="ascii", opener=_private) as opened:
        opened.write(made + "\n")
    return made


def new_admin_key(name: str, clock: Clock) -> str:
    """`<name>|<token>`, without the `:` that separates a key from an identity to act as."""
    return f"{name}|{clock.random_bytes(TOKEN_BYTES).hex()}"


def instance_name(project: Path) -> str:
    """A name for the deployment of a project: its folder's, as far as a URL and a key may hold it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", project.resolve().name).strip("-.") or "pyconvex"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
