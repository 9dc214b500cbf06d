from pathlib import Path

import pytest

from pyconvex_cli.gitignore import extend_gitignore


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ".env.local\n.pyconvex/\n"),
        ("dist/", "dist/\n.env.local\n.pyconvex/\n"),
        (".env.local\n", ".env.local\n.pyconvex/\n"),
        ("/.pyconvex\n/.env.local\n", "/.pyconvex\n/.env.local\n"),
    ],
)
def test_what_is_missing_is_added(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / ".gitignore"
    path.write_text(before)
    extend_gitignore(tmp_path)
    assert path.read_text() == after


def test_a_new_file_is_made_only_in_a_checkout(tmp_path: Path) -> None:
    assert extend_gitignore(tmp_path) == []
    assert not (tmp_path / ".gitignore").exists()
    (tmp_path / ".git").mkdir()
    assert extend_gitignore(tmp_path) == [".env.local", ".pyconvex/"]
