"""A limit is the most that is allowed: one more is refused."""

from collections.abc import Callable

import pytest

from pyconvex.settings import Limits
from pyconvex.store.usage import LimitExceeded, Usage

LIMITS = Limits(
    read_ranges=4, read_documents=4, read_bytes=4, write_documents=4, write_bytes=4, scheduled_functions=4,
    scheduled_args_bytes=4,
)  # fmt: skip
COUNTED: dict[str, tuple[Callable[[Usage], None], str]] = {
    "reads": (lambda usage: usage.read_range(), "Too many reads in a single function execution (limit: 4). {hint}"),
    "documents read": (
        lambda usage: usage.read(1, 0),
        "Too many documents read in a single function execution (limit: 4). {hint}",
    ),
    "bytes read": (
        lambda usage: usage.read(0, 1),
        "Too many bytes read in a single function execution (limit: 4 bytes). {hint}",
    ),
    "writes": (lambda usage: usage.write(0), "Too many writes in a single function execution (limit: 4)"),
    "functions scheduled": (
        lambda usage: usage.schedule(0),
        "Too many functions scheduled by this mutation (limit: 4)",
    ),
}
BYTES: dict[str, tuple[Callable[[Usage, int], None], str]] = {
    "bytes written": (
        lambda usage, size: usage.write(size),
        "Too many bytes written in a single function execution (limit: 4 bytes)",
    ),
    "bytes of arguments": (
        lambda usage, size: usage.schedule(size),
        "Too large total size of the arguments of scheduled functions from this mutation (limit: 4 bytes)",
    ),
}
HINT = "Consider smaller limits, pagination, or an indexed query with a selective range."


@pytest.mark.parametrize("what", COUNTED)
def test_as_many_as_the_limit_says(what: str) -> None:
    count, message = COUNTED[what]
    usage = Usage(LIMITS)
    for _ in range(4):
        count(usage)
    with pytest.raises(LimitExceeded) as refused:
        count(usage)
    assert refused.value.message == message.format(hint=HINT)


@pytest.mark.parametrize("what", BYTES)
def test_as_large_as_the_limit_says(what: str) -> None:
    add, message = BYTES[what]
    add(Usage(LIMITS), 4)
    with pytest.raises(LimitExceeded) as refused:
        add(Usage(LIMITS), 5)
    assert refused.value.message == message


def test_a_warning_comes_beyond_four_fifths() -> None:
    limits = Limits(read_ranges=10, read_documents=10, read_bytes=10, write_documents=10, write_bytes=10)
    usage = Usage(limits, bytes_read=8, documents_read=8, ranges_read=8, bytes_written=8, documents_written=8)
    assert usage.warnings() == []
    usage = Usage(limits, bytes_read=9, documents_read=9, ranges_read=9, bytes_written=9, documents_written=9)
    assert [near.text for near in usage.warnings()] == [
        *(
            f"Many {what} in a single function execution (actual: 9, limit: 10). {HINT}"
            for what in ("documents read", "bytes read", "reads")
        ),
        *(
            f"Many {what} in a single function execution (actual: 9, limit: 10)."
            for what in ("writes", "bytes written")
        ),
    ]
