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
    lines = execution.lines
    lines.flush()
    took = services.clock.monotonic() - execution.started
    services.logs.publish(
        Completion(
            udf_type=execution.kind.udf_type,
            identifier=execution.identifier,
            request_id=execution.call.request_id,
            execution_id=execution.id,
            parent_execution_id=execution.parent_id,
            caller=execution.caller.value,
            identity_type=execution.call.identity.identity_type,
            execution_timestamp=execution.started_ms / 1000,
            execution_time=took,
            user_execution_time=took,
            log_lines=lines.all if execution.is_transaction else [],
            success=None if status is None or error is not None else Success(str(status)),
            error=error,
            usage_stats=NO_USAGE if execution.usage is None else _stats(execution.usage),
            return_bytes=execution.result_bytes,
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
