"""Versions: which one serves, and when a replaced one is let go."""

from pathlib import Path

from pyconvex.engine.versions import Versions
from pyconvex.loading.registry import empty_registry


def test_a_replaced_version_is_retired_with_its_last_call(tmp_path: Path) -> None:
    first, second, third = (empty_registry(tmp_path, tmp_path / "convex") for _ in range(3))
    retired: list[str] = []
    versions = Versions(first, lambda: retired.append("first"))
    with versions.lease() as outer:
        with versions.lease() as inner:
            assert outer is inner is first
            versions.swap(second, lambda: retired.append("second"))
            assert versions.current is second
            with versions.lease() as newer:
                assert newer is second
            versions.swap(third)
            assert retired == ["second"]
        assert retired == ["second"]
    assert retired == ["second", "first"]


def test_a_lease_ends_with_an_exception_too(tmp_path: Path) -> None:
    retired: list[str] = []
    versions = Versions(empty_registry(tmp_path, tmp_path), lambda: retired.append("first"))
    try:
        with versions.lease():
            versions.swap(empty_registry(tmp_path, tmp_path))
            raise ValueError
    except ValueError:
        assert retired == ["first"]
