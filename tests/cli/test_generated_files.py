from pathlib import Path

from pyconvex_cli.generated import outdated, write_generated

FILES = {"api.py": "a\n", "api.pyi": "stub\n"}


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    assert write_generated(tmp_path, FILES) == ["api.py", "api.pyi"]
    untouched = (tmp_path / "_generated/api.py").stat().st_mtime_ns
    assert write_generated(tmp_path, FILES | {"api.pyi": "other\n"}) == ["api.pyi"]
    assert (tmp_path / "_generated/api.py").stat().st_mtime_ns == untouched
    assert write_generated(tmp_path, FILES | {"api.pyi": "other\n"}) == []


def test_what_is_no_longer_generated_goes_and_foreign_files_stay(tmp_path: Path) -> None:
    write_generated(tmp_path, FILES | {"old.py": ""})
    folder = tmp_path / "_generated"
    (folder / "api.d.ts").write_text("typescript")
    (folder / "ai").mkdir()
    assert write_generated(tmp_path, FILES) == ["old.py"]
    assert sorted(path.name for path in folder.iterdir()) == ["ai", "api.d.ts", "api.py", "api.pyi"]


def test_outdated_only_looks(tmp_path: Path) -> None:
    assert outdated(tmp_path, FILES) == ["api.py", "api.pyi"]
    assert not (tmp_path / "_generated").exists()
    write_generated(tmp_path, FILES)
    (tmp_path / "_generated/api.py").write_bytes(b"\xff")
    assert outdated(tmp_path, FILES) == ["api.py"]
