"""The admin key of a deployment.

A deployment of this machine draws its key at its first start and keeps it in a file. Processes that share a database
derive theirs from the secret in it: all of them take the same key, and each machine's file has a copy for its tools.
"""

import os
import re
from hashlib import blake2b
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
    _write(file, made)
    return made


def shared_admin_key(file: Path, name: str, secret: bytes) -> str:
    """The key of a deployment whose database says its name and secret; it is copied to `file` (mode 600)."""
    key = f"{name}|{blake2b(secret, digest_size=TOKEN_BYTES, person=b'admin key').hexdigest()}"
    try:
        known = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        known = ""
    if known != key:
        _write(file, key)
    return key


def new_admin_key(name: str, clock: Clock) -> str:
    """`<name>|<token>`, without the `:` that separates a key from an identity to act as."""
    return f"{name}|{clock.random_bytes(TOKEN_BYTES).hex()}"


def instance_name(project: Path) -> str:
    """A name for the deployment of a project: its folder's, as far as a URL and a key may hold it."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", project.resolve().name).strip("-.") or "pyconvex"


def _write(file: Path, key: str) -> None:
    """Readers see the old key or this one, even if several processes begin at once."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    with open(fresh, "w", encoding="ascii", opener=_private) as opened:
        opened.write(key + "\n")
    fresh.replace(file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
