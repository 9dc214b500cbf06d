"""Where text goes, and when it has colour."""

import io
import json
import os
import threading

import pytest

from pyconvex_cli.console import PLAIN_WIDTH, STYLES, Console, Terminal, harmless, terminal_of


class FakeStream(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "environ", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"CI": "true"}, False),
        (True, {"CI": "true", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colour(is_terminal: bool, environ: dict[str, str], colour: bool) -> None:
    assert terminal_of(FakeStream(is_terminal), environ).colour is colour


def test_without_a_terminal_lines_are_never_cut() -> None:
    assert terminal_of(FakeStream(False), {}).width == PLAIN_WIDTH
    assert terminal_of(FakeStream(False), {"COLUMNS": "100"}).width == PLAIN_WIDTH
    assert terminal_of(FakeStream(False), {"COLUMNS": "100", "FORCE_COLOR": "1"}).width == 100


def test_paint_is_only_there_in_colour() -> None:
    assert Terminal(False, 80).paint("bad", "x") == "x"
    assert Terminal(True, 80).paint("bad", "x") == "\x1b[31mx\x1b[0m"
    assert Terminal(True, 80).paint("bad", "") == ""
    assert all(parameters.replace(";", "").isdigit() for parameters in STYLES.values())


def test_two_voices_on_two_streams() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err, {})
    console.data(["one", "two"])
    console.say("hello")
    console.done("it is done")
    console.warn("careful", hint="look left")
    console.error("it failed", hint="try again")

    assert out.getvalue() == "one\ntwo\n"
    assert err.getvalue() == (
        "hello\n✔ it is done\nwarning: careful\nhint: look left\nerror: it failed\nhint: try again\n"
    )


def test_a_terminal_that_does_not_block_gets_everything() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text = "line ✔ " * 100_000
    with os.fdopen(reader, encoding="utf-8") as read, os.fdopen(writer, "w", encoding="utf-8") as stream:
        received: list[str] = []
        thread = threading.Thread(target=lambda: received.append(read.readline()))
        thread.start()
        Console(stream, stream, {}).say(text)
        thread.join(30)
    assert received == [text + "\n"]


def test_an_event_is_one_line_of_json() -> None:
    out = io.StringIO()
    Console(out, io.StringIO(), {}).event("note", text="two\nlines ✔")
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue()) == {"type": "note", "text": "two\nlines ✔"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ✔ text\n\twith a tab", "plain ✔ text\n\twith a tab"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("bell\x07 and return\r", "bell\\x07 and return\\x0d"),
        ("c1 \x9b31m", "c1 \\x9b31m"),
        ("turned \u202eround", "turned \\u202eround"),
    ],
)
def test_nothing_commands_the_terminal(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_a_console_is_interactive_only_with_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", FakeStream(True))
    assert Console(FakeStream(True), FakeStream(True), {}).interactive
    assert not Console(FakeStream(True), FakeStream(False), {}).interactive
    assert not Console(FakeStream(True), FakeStream(True), {"CI": "1"}).interactive
    assert not Console(FakeStream(True), FakeStream(True), {"TERM": "dumb"}).interactive
    monkeypatch.setattr("sys.stdin", FakeStream(False))
    assert not Console(FakeStream(True), FakeStream(True), {}).interactive
