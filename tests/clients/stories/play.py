"""Plays one story: `python play.py python_live calls '{"url": "http://…"}'`, as `play.js` does."""

import importlib
import json
import math
import sys
from typing import Any

from convex import ConvexError, ConvexInt64


def say(value: object) -> None:
    print(json.dumps(_shown(value)), flush=True)


def told() -> Any:
    return json.loads(sys.stdin.readline())


def _shown(value: Any) -> object:
    match value:
        case ConvexError():
            return {"name": "ConvexError", "message": str(value), "data": _shown(value.data)}
        case Exception():
            return {"name": type(value).__name__, "message": str(value)}
        case ConvexInt64():
            return f"{value.value}n"
        case bytes():
            return {"bytes": list(value)}
        case float() if not math.isfinite(value) or str(value) == "-0.0":
            return str(value)
        case list():
            return [_shown(each) for each in _list(value)]
        case dict():
            return {name: _shown(each) for name, each in _dict(value).items()}
        case _:
            return value


def _list(value: Any) -> list[Any]:
    return value


def _dict(value: Any) -> dict[str, Any]:
    return value


if __name__ == "__main__":
    file, name, args = sys.argv[1:]
    getattr(importlib.import_module(file), name)(**json.loads(args), say=say, told=told)
