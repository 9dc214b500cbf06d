"""`ctx.auth` (https://docs.convex.dev/auth/functions-auth)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pyconvex.engine.answers import Answer
from pyconvex.errors import DeveloperError

if TYPE_CHECKING:
    from pyconvex.engine.execution import Execution
    from pyconvex.values.value import Value


class Auth:
    __slots__ = ("_execution",)

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def get_user_identity(self) -> Answer[dict[str, Value] | None]:
        """The fields of the user's identity (`tokenIdentifier`, `subject`, `issuer`, …), or None without a token.

        Awaiting it raises `DeveloperError` for a token that cannot be used; the code says why.
        """
        self._execution.root.identity_read = True
        identity = self._execution.call.identity
        unusable = identity.error
        if unusable is not None:
            return Answer(error=DeveloperError(unusable.code, unusable.message, hint=unusable.hint))
        attributes = identity.attributes
        return Answer(None if attributes is None else _copy(dict(attributes)))


def _copy(value: Any) -> Any:
    """The function may change what it gets. Claims may have names that no field of a document has."""
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_copy(each) for each in cast("list[Any]", value)]
    return value
