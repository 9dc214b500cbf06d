"""The log entry of a finished execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyconvex.engine.logs import NO_USAGE, Completion, Success, UsageStats

if TYPE_CHECKING:
    from pyconvex.engine.execution import Execution
    from pyconvex.store.transaction import Usage


def report(
    execution: Execution,
    *,
    error: str | None = None,
    hint: str | None = None,
    status: int | None = None,
    request: str | None = None,
    note: str | None = None,
) -> None:
    """Publishes how `execution` ended: with `error`, or well. `status`, `request` and `note` are an HTTP action's."""
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
            execution.caller.value,
            execution.call.identity.identity_type,
            execution.started_ms / 1000,
            took,
            took,
            lines if execution.is_transaction else [],
            None if status is None or error is not None else Success(str(status)),
            error,
            NO_USAGE if execution.usage is None else _stats(execution.usage),
            execution.result_bytes,
            status=status,
            request=request,
            hint=hint,
            note=note,
        )
    )


def _stats(usage: Usage) -> UsageStats:
    return UsageStats(
        database_read_bytes=usage.bytes_read,
        database_write_bytes=usage.bytes_written,
        database_io_read_bytes=usage.bytes_read,
        database_io_write_bytes=usage.bytes_written,
        database_read_documents=usage.documents_read,
        database_write_documents=usage.documents_written,
    )
