import pytest

from pyconvex_cli.wording import counted, duration, program_of, size


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [(0, "route", "0 routes"), (1, "route", "1 route"), (1200, "entry", "1,200 entries"), (2, "file", "2 files")],
)
def test_counted(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 ms"),
        (0.000949, "0.9 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.412, "412 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.234, "1.23 s"),
        (59.99, "59.99 s"),
        (59.996, "1 min 0 s"),
        (125, "2 min 5 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (16 * 2**20, "16 MiB"),
        (16 * 2**20 + 2000, "16,779,216 bytes"),
        (3 * 2**30, "3 GiB"),
    ],
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("npm run dev", "npm"),
        ("A=1 B='x y' npm run dev", "npm"),
        ('"/opt/my tools/vite" --host', "/opt/my tools/vite"),
        ("it's wrong", "it's"),
        ("", ""),
    ],
)
def test_program_of(command: str, name: str) -> None:
    assert program_of(command) == name
