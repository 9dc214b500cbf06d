"""`ctx.auth` (https://docs.convex.dev/auth/functions-auth)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyconvex.engine.answers import Answer
from pyconvex.errors import DeveloperError
from pyconvex.values.value import Value, convert

if TYPE_CHECKING:
    from pyconvex.engine.identity import Identity


class Auth:
    __slots__ = ("_identity",)

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def get_user_identity(self) -> Answer[dict[str, Value] | None]:
        """The fields of the user's identity (`tokenIdentifier`, `subject`, `issuer`, …), or None without a token.

        Awaiting it raises `DeveloperError` for a token that cannot be used; the code says why.
        """
        unusable = self._identity.error
        if unusable is not None:
            return Answer(error=DeveloperError(unusable.code, unusable.message, hint=unusable.hint))
        attributes = self._identity.attributes
        return Answer(None if attributes is None else convert(attributes))  # type: ignore[arg-type]  # a mapping converts to a dict
