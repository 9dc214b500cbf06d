"""Long work on stored documents, as `dev` shows it."""

import io
import json

import pytest

from pyconvex.store.schema.progress import Progress, Step
from pyconvex_cli import work
from pyconvex_cli.console import Console
from pyconvex_cli.work import WorkDisplay


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def build(done: int, *, total: int = 1_000_000, ended: bool = False) -> Progress:
    return Progress(Step.BUILD, ("notes.by_n", "notes.by_text"), done, total, ended=ended)


def shown(err: io.StringIO, *reports: Progress, json: bool = False) -> tuple[str, str]:
    out = io.StringIO()
    display = WorkDisplay(Console(out, err, {"NO_COLOR": "1"}), json=json)
    for report in reports:
        display.show(report)
    return out.getvalue(), err.getvalue()


def test_a_bar_on_a_terminal_that_is_gone_at_the_end() -> None:
    _, text = shown(Terminal(), build(250_000), build(1_000_000, ended=True))
    _, bar, done = text.split("\r\x1b[K")
    assert bar.startswith("  building notes.by_n and 1 more ━━━━━━──────────────────  25% · ")
    assert bar.endswith(" s left")
    assert done.startswith("  ✔ built notes.by_n and 1 more · 1,000,000 documents in ")
    assert done.endswith("\n")


def test_the_bar_stays_below_other_lines() -> None:
    err = Terminal()
    console = Console(io.StringIO(), err, {"NO_COLOR": "1"})
    display = WorkDisplay(console, json=False)
    display.show(build(250_000))
    console.say("a row")
    lines = err.getvalue().split("\r\x1b[K")
    assert lines[-2] == "a row\n"
    assert lines[-1].startswith("  building")
    display.show(build(250_000, ended=True))
    assert err.getvalue().endswith("\r\x1b[K"), "work that was given up leaves nothing"


def test_a_bar_fits_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    _, text = shown(Terminal(), build(250_000))
    assert 0 < len(text.split("\x1b[K")[-1]) <= 49


def test_lines_elsewhere_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = shown(io.StringIO(), build(1), build(2), build(3), build(1_000_000, ended=True))
    first, last = text.splitlines()
    assert first == "  building notes.by_n and 1 more: 1 of 1,000,000 documents"
    assert last.startswith("  ✔ built")
    monkeypatch.setattr(work, "LINE_SECONDS", 0.0)
    _, text = shown(io.StringIO(), build(1), build(2), build(3))
    assert len(text.splitlines()) == 3


def test_checking_and_work_in_the_background() -> None:
    check = Progress(Step.CHECK, ("notes",), 5, 10)
    staged = Progress(Step.BUILD, ("notes.by_n",), 5, 10, background=True)
    assert shown(io.StringIO(), check)[1] == "  checking the documents of notes: 5 of 10 documents\n"
    assert shown(io.StringIO(), staged)[1] == "  building notes.by_n in the background: 5 of 10 documents\n"


def test_events_for_programs() -> None:
    out, err = shown(Terminal(), build(5), build(10, total=10, ended=True), json=True)
    first, last = map(json.loads, out.splitlines())
    assert err == "" and first.pop("ts") <= last.pop("ts")
    expected = {"type": "progress", "step": "build", "names": ["notes.by_n", "notes.by_text"], "background": False}
    assert first == {**expected, "done": 5, "total": 1_000_000, "ended": False}
    assert last == {**expected, "done": 10, "total": 10, "ended": True}
