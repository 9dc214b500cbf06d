"""A chat with images, whose page is served from another origin than its functions."""

import functools
import http.server
import shutil
import struct
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .dev import init
from .tokens import Issuer

GALLERY = Path(__file__).parent.parent / "scenarios" / "gallery"


def gallery(folder: Path, issuer: Issuer) -> Path:
    """The project, with `issuer` as the provider of its users' tokens."""
    project = init(folder, "basic")
    shutil.rmtree(project / "convex")
    shutil.copytree(GALLERY / "convex", project / "convex", ignore=shutil.ignore_patterns("__pycache__", "_generated"))
    (project / "convex" / "auth_config.py").write_text(issuer.config())
    return project


def picture(width: int, height: int) -> bytes:
    """A PNG that browsers show."""
    rows = b"".join(b"\0" + bytes((3 * x + 5 * y) % 256 for x in range(3 * width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_part(name, data) for name, data in parts)


def _part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@contextmanager
def elsewhere(folder: Path) -> Generator[str]:
    """The files of a folder on an origin of their own, which is handed out."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass
