"""Finding out who is asking, by token or by admin key, for every way into the deployment."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

from pyconvex.engine.auth.identity import ADMIN, ANONYMOUS, Identity, acting_as
from pyconvex.errors import DeveloperError, RequestRefused

if TYPE_CHECKING:
    from pyconvex.clock import Clock
    from pyconvex.engine.auth.tokens import Tokens
    from pyconvex.engine.versions import Versions

TokenType = Literal["None", "User", "Admin"]
"""What clients of the sync protocol say that they send."""


class Authentication:
    """Who may say to be whom in one deployment.

    Args:
        admin_key: `<name>|<token>`.
        versions: the current one says whose tokens count.
        redact: keep from clients what is wrong with a provider.
    """

    def __init__(self, admin_key: str, versions: Versions, clock: Clock, *, redact: bool = False) -> None:
        self._admin_key = admin_key.encode()
        self._versions = versions
        self._clock = clock
        self._redact = redact

    @cached_property
    def _tokens(self) -> Tokens:
        from pyconvex.engine.auth.tokens import Tokens  # and what it knows of keys and claims: 5 modules

        return Tokens(self._clock, redact=self._redact)

    async def authenticate(
        self, token_type: TokenType, value: str | None, impersonating: Mapping[str, object] | None = None
    ) -> Identity:
        """The identity behind an `Authenticate` message.

        Args:
            value: the token, or the admin key.
            impersonating: the user that an admin wants to act as.

        Raises:
            RequestRefused: as `user` and `admin`.
        """
        match token_type:
            case "None":
                return ANONYMOUS
            case "User":
                return await self.user(value or "")
            case "Admin":
                identity = self.admin(value or "")
                return identity if impersonating is None else _acting_as(impersonating)

    async def user(self, token: str) -> Identity:
        """The user whose token this is. Raises what `Tokens.verify` does."""
        return await self._tokens.verify(token, self._versions.current.auth)

    def admin(self, credentials: str) -> Identity:
        """Whoever has the admin key: `name|token`, or `name|token:<base64 of a user identity as JSON>` to act as one.

        Raises:
            RequestRefused: 401 `BadAdminKey`, 400 `InvalidUserIdentity`.
        """
        prefix = credentials[: credentials.find("|") + 1]
        token, colon, attributes = credentials[len(prefix) :].partition(":")
        if not hmac.compare_digest((prefix + token).encode("utf-8", "replace"), self._admin_key):
            raise RequestRefused(401, "BadAdminKey", "The provided admin key was invalid for this instance")
        return _acting_as(_decoded(attributes)) if colon else ADMIN


def _decoded(text: str) -> object:
    try:
        return json.loads(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError):
        return None


def _acting_as(attributes: object) -> Identity:
    if isinstance(attributes, Mapping):
        try:
            return acting_as(cast("Mapping[str, object]", attributes))
        except DeveloperError:  # something in it is no value
            pass
    raise RequestRefused(400, "InvalidUserIdentity", "The identity to act as is not base64 of a JSON object")
