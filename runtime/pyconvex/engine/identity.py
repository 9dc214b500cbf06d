"""Who is asking: nobody, a user with a verified token, an admin, or an admin acting as a user.

https://docs.convex.dev/auth/functions-auth
"""

from collections.abc import Mapping
from dataclasses import dataclass
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

    @property
    def is_admin(self) -> bool:
        """Whether the caller holds the admin key (also while acting as a user)."""
        return self.kind in _ADMINS

    @property
    def identity_type(self) -> str:
        return self.kind.value


_ADMINS = frozenset({IdentityKind.ADMIN, IdentityKind.ACTING_USER, IdentityKind.SYSTEM})

ANONYMOUS = Identity(IdentityKind.UNKNOWN)
ADMIN = Identity(IdentityKind.ADMIN)
SYSTEM = Identity(IdentityKind.SYSTEM)


def user(attributes: Mapping[str, object]) -> Identity:
    """A user whose token was verified. `attributes` are the fields of the identity, in Convex's names."""
    return Identity(IdentityKind.USER, _complete(attributes))


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
