"""Problems as they are read in a terminal, to the letter."""

from dataclasses import replace
from pathlib import Path

from pyconvex.errors import Place, Problem, UnfitDocument
from pyconvex.loading.excerpt import Excerpt, excerpt
from pyconvex_cli.console import PLAIN_WIDTH, Terminal
from pyconvex_cli.local import disk_excerpts
from pyconvex_cli.problems import problem_lines

SOURCES = {
    "convex/messages.py": "\n".join(
        ["from x import y", "", "@mutation", "async def send(ctx, body: str, author: str", "\tpass"]
    )
}
OPEN = Problem("SyntaxError", "'(' was never closed", Place("convex/messages.py", 4, 15), hint="close the parenthesis")


def find(place: Place) -> Excerpt | None:
    return excerpt(SOURCES, place)


def shown(*problems: Problem, width: int = 80, warning: bool = False, verbose: bool = False) -> list[str]:
    return list(problem_lines(problems, find, Terminal(False, width), warning=warning, verbose=verbose))


def test_a_problem_has_its_place_its_lines_and_its_fix() -> None:
    assert shown(OPEN) == [
        "error[SyntaxError]: '(' was never closed",
        "   convex/messages.py:4:15",
        "   3 │ @mutation",
        "   4 │ async def send(ctx, body: str, author: str",
        "     │               ^",
        "   5 │     pass",
        "hint: close the parenthesis",
    ]


def test_both_places_are_shown() -> None:
    problem = Problem("RouteTwice", "registered twice", Place("convex/messages.py", 1), also=(Place("gone.py", 7),))
    assert shown(problem, warning=True) == [
        "warning[RouteTwice]: registered twice",
        "   convex/messages.py:1",
        "   1 │ from x import y",
        "   2 │",
        "   gone.py:7",
    ]


def test_long_sentences_wrap_where_the_terminal_ends() -> None:
    problem = Problem("Odd", "something went " + "very " * 8 + "wrong", hint="do " + "this and " * 5 + "that")
    assert shown(problem, width=40) == [
        "error[Odd]: something went very very",
        "  very very very very very very wrong",
        "hint: do this and this and this and this",
        "  and this and that",
    ]
    assert shown(problem, width=PLAIN_WIDTH) == [f"error[Odd]: {problem.message}", f"hint: {problem.hint}"]


def test_a_problem_without_a_place() -> None:
    assert shown(Problem("Odd", "first line\nsecond line")) == ["error[Odd]: first line", "  second line"]


def test_the_documents_that_do_not_match_are_a_table() -> None:
    documents = (
        UnfitDocument(
            "j57aa", "notes", ".text", "Value does not match validator.\nPath: .text\nValue: 1.0\nValidator: x"
        ),
        UnfitDocument("j57bbbb", "rooms", "", "Object is missing the required field `name`. Consider wrapping it."),
    )
    problem = Problem(
        "SchemaViolation", "Document does not match: because\nValue: 1.0", documents=documents, hint="fix"
    )
    assert shown(problem) == [
        "error[SchemaViolation]: Document does not match: because",
        "  Value: 1.0",
        "   j57aa    notes.text  Value does not match validator. Value: 1.0",
        "   j57bbbb  rooms       Object is missing the required field `name`. Consider w…",
        "hint: fix",
    ]
    assert len(shown(replace(problem, documents=documents[:1]))) == 3, "one is in the text already"


def test_ten_problems_are_shown_and_the_rest_counted() -> None:
    lines = shown(*[Problem("Many", f"number {number}") for number in range(12)])
    assert lines.count("") == 10
    assert lines[-1] == "… and 2 more problems"
    assert sum(line.startswith("error[Many]") for line in lines) == 10


def test_long_lines_of_source_are_cut_where_the_terminal_ends() -> None:
    sources = {"a.py": "x = " + "1 + " * 50 + "1"}
    lines = list(
        problem_lines(
            [Problem("X", "y", Place("a.py", 1, 5))], lambda place: excerpt(sources, place), Terminal(False, 40)
        )
    )
    assert lines[2] == "   1 │ x = 1 + 1 + 1 + 1 + 1 + 1 + 1 +…"
    assert lines[3] == "     │     ^"
    assert max(map(len, lines)) <= 40


def test_verbose_adds_the_whole_traceback() -> None:
    problem = Problem("Odd", "it failed", trace="Traceback:\n  File x\nValueError: y\n")
    assert shown(problem) == ["error[Odd]: it failed"]
    assert shown(problem, verbose=True) == [
        "error[Odd]: it failed",
        "  Traceback:",
        "    File x",
        "  ValueError: y",
    ]


def test_code_frames_from_disk(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\n")
    find = disk_excerpts(tmp_path)
    found = find(Place("a.py", 2))
    assert found is not None
    assert [line.text for line in found.lines] == ["one", "two"]
    assert find(Place("missing.py", 1)) is None
    assert find(Place("a.py", 9)) is None
