"""Who is asking: nobody, a user with a verified token, an admin, or an admin acting as a user.

https://docs.convex.dev/auth/functions-auth
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pyconvex.errors import PyconvexError, RequestRefused
from pyconvex.values.value import Value, convert


class IdentityKind(StrEnum):
    """The values are those of `identityType` in log entries."""

    UNKNOWN = "unknown"
    USER = "user"
    ADMIN = "instance_admin"
    ACTING_USER = "member_acting_user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Identity:
    """One caller. `attributes` is what `get_user_identity()` answers; `error` is what it raises instead."""

    kind: IdentityKind
    attributes: Mapping[str, Value] | None = None
    error: PyconvexError | None = None
    expires: float | None = None
    """Seconds since 1970 from which the token counts no more, leeway included; None for what has no end."""
    token: str | None = field(default=None, compare=False, repr=False)
    """The token that was verified, as it was sent."""

    @property
    def is_admin(self) -> bool:
        """Whether the caller holds the admin key (also while acting as a user)."""
        return self.kind in _ADMINS

    @property
    def identity_type(self) -> str:
        return self.kind.value

    @property
    def key(self) -> bytes | None:
        """Equal for callers between whom `get_user_identity()` makes no difference; None for those who are nobody."""
        if self.error is not None:
            return json.dumps([self.error.code, self.error.message]).encode()
        if self.attributes is None:
            return None
        return json.dumps(self.attributes, sort_keys=True, default=repr).encode()

    def check_fresh(self, now_ms: float) -> None:
        """Raises `RequestRefused` 401 `TokenExpired` when the token was verified once, and has expired since."""
        if self.expires is not None and now_ms / 1000 >= self.expires:
            raise RequestRefused(401, "TokenExpired", "Convex token identity expired")


_ADMINS = frozenset({IdentityKind.ADMIN, IdentityKind.ACTING_USER, IdentityKind.SYSTEM})

ANONYMOUS = Identity(IdentityKind.UNKNOWN)
ADMIN = Identity(IdentityKind.ADMIN)
SYSTEM = Identity(IdentityKind.SYSTEM)


def user(attributes: Mapping[str, object]) -> Identity:
    """A user as a test describes one. `attributes` are the fields of the identity, in Convex's names."""
    return Identity(IdentityKind.USER, _complete(attributes))


def verified(attributes: Mapping[str, Value], *, expires: float, token: str) -> Identity:
    """A user whose token was verified."""
    return Identity(IdentityKind.USER, attributes, expires=expires, token=token)


def acting_as(attributes: Mapping[str, object]) -> Identity:
    """An admin acting as the user with these attributes.

    Raises `RequestRefused` 400 when there is neither `tokenIdentifier` nor both `issuer` and `subject`.
    """
    return Identity(IdentityKind.ACTING_USER, _complete(attributes))


def unusable(error: PyconvexError) -> Identity:
    """A caller whose `Authorization` cannot be used: `get_user_identity()` raises `error`, the request goes on."""
    return Identity(IdentityKind.UNKNOWN, error=error)


def _complete(attributes: Mapping[str, object]) -> dict[str, Value]:
    """The attributes as values, with `tokenIdentifier` built from issuer and subject where it is missing."""
    known = convert(attributes)
    assert isinstance(known, dict), "a mapping converts to a dict"
    if known.get("tokenIdentifier") is None:
        issuer, subject = known.get("issuer"), known.get("subject")
        if not isinstance(issuer, str) or not isinstance(subject, str):
            raise RequestRefused(
                400,
                "InvalidUserIdentity",
                "A user identity needs `tokenIdentifier`, or both `issuer` and `subject`.",
            )
        known = {"tokenIdentifier": f"{issuer}|{subject}", **known}
    return known
