"""The log entry of a finished execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyconvex.engine.logs.logs import NO_USAGE, Completion, Conflicting, Level, Success, UsageStats

if TYPE_CHECKING:
    from pyconvex.engine.execution import Execution
    from pyconvex.store.transaction import Usage

_WARN_FROM = 0.8


def warn_near_time(execution: Execution, took: float, limit: float) -> None:
    """A line about a function that ended just before its time was over; both in seconds."""
    if limit * _WARN_FROM < took <= limit:
        execution.lines.add_system(
            Level.WARN,
            f"Function execution took a long time. (maximum duration: {limit:g}s, actual duration: {took:.3g}s)",
            "warning:FunctionTimeout",
        )


def report(
    execution: Execution,
    *,
    error: str | None = None,
    hint: str | None = None,
    status: int | None = None,
    request: str | None = None,
    note: str | None = None,
    will_retry: bool = False,
    conflict: Conflicting | None = None,
) -> None:
    """Publishes how `execution` ended: with `error`, or well. `status`, `request` and `note` are an HTTP action's.

    `will_retry` says that the failure is none yet, `conflict` whom a mutation came into conflict with.
    """
    services = execution.services
    lines = execution.flush_lines()
    took = services.clock.monotonic() - execution.started
    services.logs.publish(
        # By position: as many names would take longer than all else here.
        Completion(
            execution.kind.udf_type,
            execution.identifier,
            execution.call.request_id,
            execution.id,
            execution.parent_id,
            str(execution.caller),
            str(execution.call.identity.kind),
            execution.started_ms / 1000,
            took,
            took,
            lines if execution.is_transaction else [],
            None if status is None or error is not None else Success(str(status)),
            error,
            NO_USAGE if execution.usage is None else _stats(execution.usage, kept=error is None),
            execution.result_bytes,
            status=status,
            request=request,
            hint=hint,
            note=note,
            occ_info=conflict,
            will_retry=will_retry,
            job=execution.call.job,
        )
    )


def _stats(usage: Usage, *, kept: bool) -> UsageStats:
    read = usage.bytes_read
    # What a mutation that failed has written is gone.
    written, documents_written = (usage.bytes_written, usage.documents_written) if kept else (0, 0)
    # By position, too: bytes read and written, the same again for the disk, then documents.
    return UsageStats(read, written, read, written, usage.documents_read, documents_written)
