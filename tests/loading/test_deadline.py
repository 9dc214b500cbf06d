"""Modules whose top level does not end."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.folder import FunctionsFolder, seen


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[FunctionsFolder]:
    folder = FunctionsFolder(tmp_path, seconds=0.2)
    yield folder
    folder.retire()


LOOPS = {
    "a loop": "while True:\n    pass\n",
    "a loop that swallows": "while True:\n    try:\n        pass\n    except:\n        pass\n",
    "a loop that goes on in its finally": (
        "for _ in iter(int, 1):\n    try:\n        pass\n    finally:\n        continue\n"
    ),
}


@pytest.mark.parametrize("text", LOOPS.values(), ids=LOOPS.keys())
def test_an_endless_loop_is_a_problem_with_its_line(hasty: FunctionsFolder, text: str) -> None:
    hasty.write("a.py", "X = 1\n")
    hasty.write("m.py", "import time\n" + text)
    problem = hasty.problem()
    assert (problem.code, problem.message, problem.hint) == (
        "LoadTimeout",
        "`convex/m.py` was still running its top level after 0.2 s",
        "modules run on every save: move the work into a function",
    )
    assert problem.place is not None
    assert problem.place.file == "convex/m.py"
    assert problem.place.line >= 2
    wait_for_the_end()
    hasty.write("m.py", "X = 2\n")
    assert hasty.load().registry.modules["m"].X == 2


def wait_for_the_end() -> None:
    """Of the threads that load: none may go on looping."""
    for thread in threading.enumerate():
        if thread.name.startswith("pyconvex-load"):
            thread.join(10)
            assert not thread.is_alive(), thread.name


def test_a_call_that_does_not_return_is_left_behind(hasty: FunctionsFolder) -> None:
    hasty.write("m.py", "import threading\n\nthreading.Event().wait(3)\n")
    started = time.monotonic()
    assert seen(hasty.problem())[:3] == (
        "LoadTimeout",
        "`convex/m.py` was still running its top level after 0.2 s",
        "convex/m.py:3",
    )
    assert time.monotonic() - started < 2
    hasty.write("m.py", "X = 2\n")
    assert hasty.load().registry.modules["m"].X == 2


def test_a_loop_in_a_function_is_found_where_it_runs(hasty: FunctionsFolder) -> None:
    hasty.write("helpers.py", "def spin():\n    while True:\n        pass\n")
    hasty.write("m.py", "from .helpers import spin\nspin()\n")
    problem = hasty.problem()
    assert problem.place is not None
    assert problem.place.file == "convex/helpers.py"


def test_other_problems_are_told_too(hasty: FunctionsFolder) -> None:
    hasty.write("a.py", "1 / 0\n")
    hasty.write("b.py", "def f(:\n")
    hasty.write("m.py", "while True:\n    pass\n")
    assert [problem.code for problem in hasty.problems()] == ["SyntaxError", "ZeroDivisionError", "LoadTimeout"]


def test_threads_may_be_started_again_after_a_load(hasty: FunctionsFolder) -> None:
    hasty.write("m.py", "import threading\nthreading.Thread(target=print).start()\n")
    hasty.problem()
    ran = threading.Event()
    thread = threading.Thread(target=ran.set)
    thread.start()
    thread.join()
    assert ran.is_set()
