"""What one function's transaction has used up, and the limits on it."""

from typing import Final, NamedTuple

from msgspec import Struct

from pyconvex.errors import DeveloperError
from pyconvex.settings import Limits

READ_HINT: Final = "Consider smaller limits, pagination, or an indexed query with a selective range."
_AND_HINT = f" {READ_HINT}"
_WARNING_SHARE = 0.8
_MIB = 2**20


class NearLimit(NamedTuple):
    """Something that came near a limit, to be logged as WARN."""

    code: str
    """That of the error which more of it would have been."""
    text: str


UNLIMITED: Final = Limits(
    read_bytes=2**62, read_documents=2**62, read_ranges=2**62, write_bytes=2**62, write_documents=2**62
)
"""For what pyconvex itself does with its tables: they may hold more than what a function may read."""


class LimitExceeded(DeveloperError):
    """A transaction read or wrote more than one function may."""


class Usage(Struct):
    """Counters of one transaction, the calls it made included. Sizes are Convex's, in bytes.

    What a failed sub-transaction read stays counted; what it wrote does not.
    """

    limits: Limits
    bytes_read: int = 0
    documents_read: int = 0
    ranges_read: int = 0
    bytes_written: int = 0
    documents_written: int = 0
    functions_scheduled: int = 0
    scheduled_args_bytes: int = 0

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

    def schedule(self, args_bytes: int) -> None:
        """Count one function that is scheduled, before it takes effect."""
        self.functions_scheduled += 1
        self.scheduled_args_bytes += args_bytes
        limits = self.limits
        if self.functions_scheduled > limits.scheduled_functions:
            raise LimitExceeded(
                "TooManyFunctionsScheduled",
                f"Too many functions scheduled by this mutation (limit: {limits.scheduled_functions})",
            )
        if self.scheduled_args_bytes > limits.scheduled_args_bytes:
            raise LimitExceeded(
                "ScheduledFunctionsArgumentsTooLarge",
                "Too large total size of the arguments of scheduled functions from this mutation "
                f"(limit: {_bytes(limits.scheduled_args_bytes)})",
            )

    def warnings(self) -> list[NearLimit]:
        """One for each counter that came near its limit."""
        limits = self.limits
        if not self.functions_scheduled and not (
            self.documents_written > _WARNING_SHARE * limits.write_documents
            or self.bytes_written > _WARNING_SHARE * limits.write_bytes
            or self.documents_read > _WARNING_SHARE * limits.read_documents
            or self.bytes_read > _WARNING_SHARE * limits.read_bytes
            or self.ranges_read > _WARNING_SHARE * limits.read_ranges
        ):
            return []  # as good as always, and every function asks
        counters = (
            ("TooManyDocumentsRead", "documents read", self.documents_read, limits.read_documents, _AND_HINT),
            ("TooManyBytesRead", "bytes read", self.bytes_read, limits.read_bytes, _AND_HINT),
            ("TooManyReads", "reads", self.ranges_read, limits.read_ranges, _AND_HINT),
            ("TooManyWrites", "writes", self.documents_written, limits.write_documents, ""),
            ("TooManyBytesWritten", "bytes written", self.bytes_written, limits.write_bytes, ""),
        )
        return [
            NearLimit(code, f"Many {what} in a single function execution (actual: {actual}, limit: {limit}).{hint}")
            for code, what, actual, limit, hint in counters
            if actual > _WARNING_SHARE * limit
        ] + (self._scheduling_warnings() if self.functions_scheduled else [])

    def _scheduling_warnings(self) -> list[NearLimit]:
        limits, found = self.limits, list[NearLimit]()
        if self.functions_scheduled > _WARNING_SHARE * limits.scheduled_functions:
            text = (
                "Many functions scheduled by this mutation "
                f"(actual: {self.functions_scheduled}, limit: {limits.scheduled_functions})"
            )
            found.append(NearLimit("TooManyFunctionsScheduled", text))
        if self.scheduled_args_bytes > _WARNING_SHARE * limits.scheduled_args_bytes:
            text = (
                "Large total size of the arguments of scheduled functions from this mutation "
                f"(actual: {self.scheduled_args_bytes} bytes, limit: {limits.scheduled_args_bytes} bytes)"
            )
            found.append(NearLimit("ScheduledFunctionsArgumentsTooLarge", text))
        return found


def _read_too_much(code: str, what: str, limit: str) -> LimitExceeded:
    error = _too_many(code, what, limit)
    return LimitExceeded(code, f"{error.message}. {READ_HINT}")


def _too_many(code: str, what: str, limit: str) -> LimitExceeded:
    return LimitExceeded(code, f"Too many {what} in a single function execution (limit: {limit})")


def _bytes(count: int) -> str:
    return f"{count // _MIB} MiB" if count % _MIB == 0 else f"{count} bytes"
