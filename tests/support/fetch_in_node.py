"""What the Fetch classes of Node make of cases, to compare ours with."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .npm import node, node_environment

_SCRIPT = Path(__file__).with_suffix(".mjs")
_SECONDS = 60


def in_node(cases: Sequence[Sequence[Any]]) -> list[Any]:
    """The answers, in the order of the cases; `TypeError` or `ValueError` itself where Node throws one.

    Args:
        cases: each is a function of `fetch_in_node.mjs` and its arguments.
    """
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run(
        [node(), str(_SCRIPT)], input=lines, capture_output=True, text=True, timeout=_SECONDS, env=node_environment()
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases)
    return [_ERRORS[answer["error"]] if "error" in answer else answer.get("result") for answer in answers]


_ERRORS: dict[str, type[Exception]] = {"TypeError": TypeError, "RangeError": ValueError}
