"""What another program prints becomes lines that do nothing to our terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex_cli.foreign_lines import LINE_MAX, ForeignLines, coloured, plain


@pytest.mark.parametrize(
    ("pieces", "lines", "rest"),
    [
        ([b"one\ntwo\n"], ["one", "two"], []),
        ([b"o", b"ne\r", b"\ntwo"], ["one"], ["two"]),
        ([b"\n  \n\r\n\t\n"], [], []),
        (["é".encode()[:1], "é".encode()[1:] + b"\n"], ["é"], []),
        ([b"caf\xe9\n"], ["caf\ufffd"], []),
        ([b"10%\r20%\r", b"100%\r\n"], ["100%"], []),
        ([b"10%\r", b"20%\r"], [], ["20%"]),
        ([b"Go on? (y) "], [], ["Go on? (y) "]),
        ([b"x" * LINE_MAX, b"y"], ["x" * LINE_MAX + "y"], []),
    ],
)
def test_lines_out_of_bytes(pieces: list[bytes], lines: list[str], rest: list[str]) -> None:
    foreign = ForeignLines()
    assert [line for piece in pieces for line in foreign.feed(piece)] == lines
    assert foreign.has_rest == bool(rest)
    assert foreign.flush() == rest
    assert not foreign.has_rest


@pytest.mark.parametrize(
    ("line", "with_colours", "without"),
    [
        ("plain", "plain", "plain"),
        ("\x1b[32mgreen\x1b[39m", "\x1b[32mgreen\x1b[39m\x1b[0m", "green"),
        ("\x1b[2J\x1b[H\x1b[?25lcleared", "cleared", "cleared"),
        ("\x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", "link"),
        ("\x1b7saved\x1b8\x1bc\x1b(B", "saved", "saved"),
        ("bell\x07 and \x1b[", "bell\\x07 and ", "bell\\x07 and "),
    ],
)
def test_only_colours_get_through(line: str, with_colours: str, without: str) -> None:
    assert coloured(line) == with_colours
    assert plain(line) == without


@given(st.text(st.sampled_from("\x1b\x07\x9b[]()?;0123mHJ\\ab")))
def test_whatever_comes_no_command_is_left(line: str) -> None:
    assert "\x1b" not in plain(line)
    assert "\x9b" not in plain(line)
    assert all(part[0] == "[" and "m" in part for part in coloured(line).split("\x1b")[1:])
