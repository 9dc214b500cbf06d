"""What a query or mutation may not touch: sockets, processes, threads and files."""

from collections.abc import Iterable
from pathlib import Path

from pyconvex.errors import DeveloperError


class NotInQueriesOrMutations(DeveloperError):
    """Something that only actions may use. Catchable, code `NotInQueriesOrMutations`."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "NotInQueriesOrMutations",
            f"Can't use {what} in queries and mutations. Please consider using an action.",
        )


def install(sources: Iterable[Path] = ()) -> None:
    """Install the audit hook (once per process) and allow reading Python sources below `sources`."""
    raise NotImplementedError
