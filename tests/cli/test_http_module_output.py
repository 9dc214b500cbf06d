"""What `pyconvex dev` prints for each wrong `http.py`, to the letter.

The texts are in `http_module/`; after a change on purpose, `PYCONVEX_REWRITE=1 pytest` writes them anew, to be read.
"""

import os
import re
import textwrap
from pathlib import Path

import pytest

from support.command import command
from support.http_modules import HANDLERS, ROWS, Row

EXPECTED = Path(__file__).parent / "http_module"


@pytest.mark.parametrize(("name", "row"), ROWS.items(), ids=ROWS.keys())
def test_the_whole_output(tmp_path: Path, name: str, row: Row) -> None:
    convex = tmp_path / "app" / "convex"
    convex.mkdir(parents=True)
    (convex / "messages.py").write_text(textwrap.dedent(HANDLERS).lstrip())
    (convex / "http.py").write_text(row.text)
    ran = command("dev", "--once", folder=tmp_path / "app")
    said = re.sub(r"\d\d:\d\d:\d\d", "12:01:04", ran.stderr)
    expected = EXPECTED / f"{re.sub(r'[^a-z]+', '-', name.lower()).strip('-')}.txt"
    if os.environ.get("PYCONVEX_REWRITE"):
        EXPECTED.mkdir(exist_ok=True)
        expected.write_text(said)
    assert (ran.exit_code, ran.stdout, said) == (1, "", expected.read_text())


def test_every_text_has_its_row() -> None:
    assert len(list(EXPECTED.glob("*.txt"))) == len(ROWS)
