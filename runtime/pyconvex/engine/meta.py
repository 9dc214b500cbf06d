"""`ctx.meta`: what a function can learn about itself, its request and its deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyconvex.engine.answers import Answer

if TYPE_CHECKING:
    from pyconvex.engine.actions import ActionRun
    from pyconvex.engine.execution import Execution
    from pyconvex.engine.transactions import Run
    from pyconvex.values.value import Value


class Meta:
    __slots__ = ("_execution",)

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def get_function_metadata(self) -> Answer[dict[str, Value]]:
        """`{"name", "componentPath", "type", "visibility"}`; an HTTP action is a public action called by its route."""
        execution = self._execution
        return Answer(
            {
                "name": execution.identifier,
                "componentPath": "",
                "type": execution.kind.value if execution.is_transaction else "action",
                "visibility": execution.visibility.value,
            }
        )

    def get_deployment_metadata(self) -> Answer[dict[str, Value]]:
        """`{"name", "region", "class"}` of this deployment."""
        return Answer({"name": self._execution.registry.root.name, "region": None, "class": "self-hosted"})


class QueryMeta(Meta):
    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        super().__init__(run.execution)
        self._run = run

    def get_transaction_metrics(self) -> Answer[dict[str, Value]]:
        """`{"used", "remaining"}` for each limit of the transaction, nested calls included."""
        usage, limits = self._run.transaction.usage, self._execution.services.limits
        metrics = {
            "bytesRead": (usage.bytes_read, limits.read_bytes),
            "bytesWritten": (usage.bytes_written, limits.write_bytes),
            "databaseQueries": (usage.ranges_read, limits.read_ranges),
            "documentsRead": (usage.documents_read, limits.read_documents),
            "documentsWritten": (usage.documents_written, limits.write_documents),
            "functionsScheduled": (usage.functions_scheduled, limits.scheduled_functions),
            "scheduledFunctionArgsBytes": (usage.scheduled_args_bytes, limits.scheduled_args_bytes),
        }
        return Answer({name: {"used": used, "remaining": limit - used} for name, (used, limit) in metrics.items()})


def _request_metadata(execution: Execution) -> Answer[dict[str, Value]]:
    call = execution.call
    return Answer(
        {
            "ip": call.ip,
            "userAgent": call.user_agent,
            "requestId": call.request_id,
            "scheduledFunctionId": call.job,
            "authToken": call.identity.token,
        }
    )


class MutationMeta(QueryMeta):
    __slots__ = ()

    def get_request_metadata(self) -> Answer[dict[str, Value]]:
        """`{"ip", "userAgent", "requestId", …}` of the request that set this off; what is unknown is None."""
        return _request_metadata(self._execution)


class ActionMeta(Meta):
    __slots__ = ()

    def __init__(self, run: ActionRun) -> None:
        super().__init__(run.execution)

    def get_request_metadata(self) -> Answer[dict[str, Value]]:
        """`{"ip", "userAgent", "requestId", …}` of the request that set this off; what is unknown is None."""
        return _request_metadata(self._execution)
