"""`.env.local`: our lines are kept current, all others are left exactly as they are."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex_cli.env_local import HEADER, env_local_values, update_env_local, updated

URL = {"CONVEX_URL": "http://127.0.0.1:3210"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", f"{HEADER}\nCONVEX_URL=http://127.0.0.1:3210\n"),
        ("A=1", f"A=1\n\n{HEADER}\nCONVEX_URL=http://127.0.0.1:3210\n"),
        ("A=1\r\nB=2\r\n", f"A=1\r\nB=2\r\n\r\n{HEADER}\r\nCONVEX_URL=http://127.0.0.1:3210\r\n"),
        ("CONVEX_URL=old\nA=1\n", "CONVEX_URL=http://127.0.0.1:3210\nA=1\n"),
        ("export CONVEX_URL = 'old' # mine\n", "export CONVEX_URL =http://127.0.0.1:3210\n"),
        (
            "# CONVEX_URL=old\nMY_CONVEX_URL=x\n",
            f"# CONVEX_URL=old\nMY_CONVEX_URL=x\n\n{HEADER}\nCONVEX_URL=http://127.0.0.1:3210\n",
        ),
        (f"{HEADER}\nOTHER=1\n", f"{HEADER}\nOTHER=1\nCONVEX_URL=http://127.0.0.1:3210\n"),
    ],
)
def test_updated(before: str, after: str) -> None:
    assert updated(before, URL) == after
    assert updated(after, URL) == after


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")))
def test_foreign_lines_stay(text: str) -> None:
    after = updated(text, URL).split("\n")
    assert [line for line in text.split("\n") if line and "CONVEX_URL" not in line] == [
        line for line in after if line and "CONVEX_URL" not in line and line != HEADER
    ]


@pytest.mark.parametrize(
    ("package", "prefix"),
    [
        ({"devDependencies": {"vite": "6"}}, "VITE_"),
        ({"dependencies": {"next": "16", "vite": "6"}}, "NEXT_PUBLIC_"),
        ({"devDependencies": {"@sveltejs/kit": "2", "vite": "6"}}, "PUBLIC_"),
        ({"dependencies": {"express": "5"}}, None),
        ({"dependencies": None}, None),
        ([], None),
    ],
)
def test_front_ends_get_the_names_they_can_read(tmp_path: Path, package: object, prefix: str | None) -> None:
    (tmp_path / "package.json").write_text(json.dumps(package))
    expected = {"CONVEX_URL": "a", "CONVEX_SITE_URL": "s"}
    if prefix:
        expected |= {f"{prefix}CONVEX_URL": "a", f"{prefix}CONVEX_SITE_URL": "s"}
    assert env_local_values(tmp_path, "a", "s") == expected


def test_the_file_is_only_written_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / ".env.local"
    path.write_bytes(b"NAME=caf\xe9\n")  # not UTF-8: still not ours to change
    assert update_env_local(tmp_path, URL)
    assert path.read_bytes().startswith(b"NAME=caf\xe9\n")
    assert not update_env_local(tmp_path, URL)
