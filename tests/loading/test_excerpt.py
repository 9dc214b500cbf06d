"""Lines of source for a code frame."""

from pyconvex.errors import Place
from pyconvex.loading.excerpt import Excerpt, Line, excerpt
from support.folder import FunctionsFolder

SOURCES = {"convex/m.py": "one\n\ttwo\nthree\n", "convex/empty.py": ""}


def test_lines_around_a_place() -> None:
    place = Place("convex/m.py", 2, 2)
    assert excerpt(SOURCES, place) == Excerpt(
        place, (Line(1, "one", False), Line(2, "\ttwo", True), Line(3, "three", False))
    )


def test_the_ends_of_the_file() -> None:
    first = excerpt(SOURCES, Place("convex/m.py", 1), before=5, after=0)
    last = excerpt(SOURCES, Place("convex/m.py", 3), before=0, after=5)
    empty = excerpt(SOURCES, Place("convex/empty.py", 1))
    assert first is not None and last is not None and empty is not None
    assert (first.lines, last.lines, empty.lines) == (
        (Line(1, "one", True),),
        (Line(3, "three", True),),
        (Line(1, "", True),),
    )


def test_what_is_not_known() -> None:
    assert excerpt(SOURCES, Place("convex/other.py", 1)) is None
    assert excerpt(SOURCES, Place("convex/m.py", 4)) is None


def test_nothing_in_a_file_acts_on_the_terminal() -> None:
    found = excerpt({"m.py": "x = '\x1b[2J\x07'\n"}, Place("m.py", 1))
    assert found is not None
    assert found.lines[0].text == "x = ' [2J '"


def test_a_file_that_failed_to_parse_and_an_old_version(folder: FunctionsFolder) -> None:
    folder.write("m.py", "good = 1\n")
    registry = folder.load().registry
    folder.write("m.py", "bad = (\n")
    place = folder.problem().place
    assert place is not None
    shown = excerpt(folder.loader.sources, place)
    served = excerpt(registry.sources, place)
    assert shown is not None and served is not None
    assert (shown.lines[0].text, served.lines[0].text) == ("bad = (", "good = 1")
