"""Serve an ASGI application on Hypercorn inside this process: `serve.py MODULE PORT [uvloop]`.

The same Hypercorn, loop and settings as pyconvex uses, so that only the application differs.
"""

import asyncio
import importlib
import logging
import sys
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def main(module: str, port: str) -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_max_requests = 10**9
    config.backlog = 1024
    logging.getLogger("hypercorn.error").setLevel(logging.WARNING)
    await serve(importlib.import_module(module).app, config)


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent)]
    if sys.argv[3:] == ["uvloop"]:
        import uvloop

        uvloop.run(main(sys.argv[1], sys.argv[2]))
    else:
        asyncio.run(main(sys.argv[1], sys.argv[2]))
