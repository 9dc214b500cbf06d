"""What one function's transaction has used up, and the limits on it."""

from dataclasses import dataclass
from typing import Final

from pyconvex.errors import DeveloperError
from pyconvex.settings import Limits

READ_HINT: Final = "Consider smaller limits, pagination, or an indexed query with a selective range."
_AND_HINT = f" {READ_HINT}"
_WARNING_SHARE = 0.8
_MIB = 2**20


class LimitExceeded(DeveloperError):
    """A transaction read or wrote more than one function may."""


@dataclass(slots=True)
class Usage:
    """Counters of one transaction, the calls it made included. Sizes are Convex's, in bytes.

    What a failed sub-transaction read stays counted; what it wrote does not.
    """

    limits: Limits
    bytes_read: int = 0
    documents_read: int = 0
    ranges_read: int = 0
    bytes_written: int = 0
    documents_written: int = 0

    def read_range(self) -> None:
        """Count one `get` or one query, before it reads."""
        self.ranges_read += 1
        if self.ranges_read > self.limits.read_ranges:
            raise _read_too_much("TooManyReads", "reads", f"{self.limits.read_ranges}")

    def read(self, documents: int, size: int) -> None:
        """Count documents handed to the function, or looked at by its filter."""
        self.documents_read += documents
        self.bytes_read += size
        if self.documents_read > self.limits.read_documents:
            raise _read_too_much("TooManyDocumentsRead", "documents read", f"{self.limits.read_documents}")
        if self.bytes_read > self.limits.read_bytes:
            raise _read_too_much("TooManyBytesRead", "bytes read", f"{self.limits.read_bytes} bytes")

    def write(self, size: int) -> None:
        """Count one insert, patch, replace or delete, before it takes effect."""
        self.documents_written += 1
        self.bytes_written += size
        if self.documents_written > self.limits.write_documents:
            raise _too_many("TooManyWrites", "writes", f"{self.limits.write_documents}")
        if self.bytes_written > self.limits.write_bytes:
            raise _too_many("TooManyBytesWritten", "bytes written", _bytes(self.limits.write_bytes))

    def warnings(self) -> list[str]:
        """One line for each counter that came near its limit."""
        limits = self.limits
        counters = (
            ("documents read", self.documents_read, limits.read_documents, _AND_HINT),
            ("bytes read", self.bytes_read, limits.read_bytes, _AND_HINT),
            ("reads", self.ranges_read, limits.read_ranges, _AND_HINT),
            ("writes", self.documents_written, limits.write_documents, ""),
            ("bytes written", self.bytes_written, limits.write_bytes, ""),
        )
        return [
            f"Many {what} in a single function execution (actual: {actual}, limit: {limit}).{hint}"
            for what, actual, limit, hint in counters
            if actual > _WARNING_SHARE * limit
        ]


def _read_too_much(code: str, what: str, limit: str) -> LimitExceeded:
    error = _too_many(code, what, limit)
    return LimitExceeded(code, f"{error.message}. {READ_HINT}")


def _too_many(code: str, what: str, limit: str) -> LimitExceeded:
    return LimitExceeded(code, f"Too many {what} in a single function execution (limit: {limit})")


def _bytes(count: int) -> str:
    return f"{count // _MIB} MiB" if count % _MIB == 0 else f"{count} bytes"
