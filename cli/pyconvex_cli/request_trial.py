"""Trying a test before it is written, so that it is known to pass."""

import asyncio
import contextlib
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from pyconvex.errors import LoadFailed
from pyconvex_cli.request_test import RequestTest

TRIAL_SECONDS = 20.0


class Trial(NamedTuple):
    """How it went: the status, or why there is none."""

    status: int | None
    trouble: str = ""


def names_in(folder: Path) -> frozenset[str]:
    """Every name and word in the modules below `folder`: a variable that is none of them is not read there."""
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in folder.rglob("*.py"))
    return frozenset(word for text in texts for word in re.findall(r"[A-Za-z_]\w*", text, re.ASCII))


def trial_of(test: RequestTest, project: Path) -> Trial:
    """What the request of a test is answered with in an empty deployment: the very text of the test is run."""
    module: dict[str, Any] = {"__name__": test.name}
    exec(compile(test.text(None), f"{test.name}.py", "exec"), module)
    with contextlib.chdir(project), contextlib.redirect_stdout(sys.stderr):
        try:
            return Trial(asyncio.run(asyncio.wait_for(module[test.name](), TRIAL_SECONDS)))
        except LoadFailed as failed:
            return Trial(None, f"the functions cannot be loaded with the variables of the test: {failed.message}")
        except TimeoutError:
            return Trial(None, f"the test was not over after {TRIAL_SECONDS:g} seconds")
