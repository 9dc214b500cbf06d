"""Whose frames an error shows, and what never gets into its text."""

import sys
from pathlib import Path
from types import CodeType

import pytest

from pyconvex.engine import failures
from pyconvex.engine.failures import MESSAGE_BYTES_MAX, Failure, Frame, describe, user_file
from pyconvex.errors import BareError, DeveloperError, Place
from pyconvex.loading.registry import Registry, empty_registry
from pyconvex.values import ConvexError, undefined


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return empty_registry(tmp_path, tmp_path / "convex")


def raised(root: Path, error: str, files: list[str]) -> Exception:
    """An exception that came through functions of these files, the last one innermost."""
    scope: dict[str, object] = {}
    text = f"def f0(): raise {error}"
    for depth, file in enumerate(reversed(files)):
        code: CodeType = compile(text, str(root / file), "exec")
        exec(code, {**vars(failures), **scope}, scope)
        text = f"def f{depth + 1}(): return f{depth}()"
    outermost = scope[f"f{len(files) - 1}"]
    assert callable(outermost)
    try:
        outermost()
    except Exception as caught:
        return caught
    raise AssertionError("it has to raise")


def test_only_files_of_the_project_are_shown(registry: Registry) -> None:
    library = str(Path(sys.modules["json"].__file__ or ""))
    files = ["convex/m.py", library, "/elsewhere/x.py", ".venv/lib/python3.11/site-packages/p.py", "shared/helper.py"]
    failure = describe(raised(registry.root, "ValueError('no')", files), registry)
    assert [str(frame.place) for frame in failure.frames] == ["shared/helper.py:1", "convex/m.py:1"]


def test_frames_of_pyconvex_are_hidden(registry: Registry) -> None:
    assert user_file(failures.__file__, str(Path(failures.__file__).parent.parent)) is None
    assert user_file(str(registry.root / "convex/m.py"), str(registry.root)) == "convex/m.py"


HEADLINES: dict[str, tuple[Exception, str]] = {
    "python's own": (ValueError("no"), "Uncaught ValueError: no"),
    "without a message": (ValueError(), "Uncaught ValueError"),
    "a mistake told by pyconvex": (DeveloperError("Code", "no"), "Uncaught Error: no"),
    "said by the platform": (BareError("Code", "no"), "no"),
    "an application's": (ConvexError({"a": 1}), 'Uncaught ConvexError: {"a":1}'),
    "several": (
        ExceptionGroup("g", [ValueError("a"), KeyError("b")]),
        "Uncaught ExceptionGroup: g (2 sub-exceptions)\n  ValueError: a\n  KeyError: 'b'",
    ),
}


@pytest.mark.parametrize("case", HEADLINES)
def test_headlines(registry: Registry, case: str) -> None:
    error, headline = HEADLINES[case]
    failure = describe(error, registry)
    assert (failure.message, failure.text) == (headline, headline)
    assert failure.data == (error.data if isinstance(error, ConvexError) else undefined)


def test_a_message_that_cannot_be_read(registry: Registry) -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Broken(), registry).message == "Uncaught Broken: (its message could not be read)"


def test_messages_are_cut_and_hold_no_folder_of_this_machine(registry: Registry) -> None:
    failure = describe(ValueError("é" * MESSAGE_BYTES_MAX), registry)
    assert len(failure.message.encode()) <= MESSAGE_BYTES_MAX
    told = describe(ValueError(f"{registry.root}/convex/m.py and {sys.prefix}/lib"), registry).message
    assert told == "Uncaught ValueError: ../convex/m.py and python/lib"


def test_deep_recursion_shows_its_innermost_frames(registry: Registry) -> None:
    failure = describe(raised(registry.root, "ValueError('deep')", ["convex/m.py"] * 200), registry)
    assert len(failure.frames) == 50
    assert failure.frames[0].function == "f0"


def test_what_clients_get() -> None:
    failure = Failure("Uncaught ValueError: no", frames=(Frame("send", Place("convex/m.py", 24)),))
    text = "Uncaught ValueError: no\n    at send (../convex/m.py:24)\n"
    assert failure.text == text
    assert failure.for_client("f00d", redacted=False) == f"[Request ID: f00d] Server Error\n{text}"
    assert failure.for_client("f00d", redacted=True) == "[Request ID: f00d] Server Error"
