"""From the claims of a verified token to the fields of a user identity.

https://docs.convex.dev/api/interfaces/server.UserIdentity, and OpenID Connect Core 1.0, section 5.1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, cast

from pyconvex.values.kinds import EXACT_INT_MAX, VALUE_DEPTH_MAX, Value

Claims = Mapping[str, object]

_TEXTS: Final = {
    "name": "name",
    "givenName": "given_name",
    "familyName": "family_name",
    "nickname": "nickname",
    "preferredUsername": "preferred_username",
    "profileUrl": "profile",
    "pictureUrl": "picture",
    "websiteUrl": "website",
    "email": "email",
    "gender": "gender",
    "birthday": "birthdate",
    "timezone": "zoneinfo",
    "language": "locale",
    "phoneNumber": "phone_number",
}
_FLAGS: Final = {"emailVerified": "email_verified", "phoneNumberVerified": "phone_number_verified"}
_ALWAYS: Final = frozenset({"tokenIdentifier", "issuer", "subject"})
_FIELDS: Final = frozenset({*_ALWAYS, *_TEXTS, *_FLAGS, "address", "updatedAt"})

_REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
"""RFC 7519, section 4.1."""
_OF_SESSIONS: Final = frozenset({"auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash"})
"""What an ID token says about how it came into being (OpenID Connect Core, sections 2 and 3.3.2.11)."""
_LEFT_OUT: Final = _REGISTERED | {"fva"}
_LEFT_OUT_OF_OIDC: Final = _LEFT_OUT | _OF_SESSIONS | {*_TEXTS.values(), *_FLAGS.values(), "address", "updated_at"}


class TooNested(ValueError):
    """Claims with more arrays and objects in each other than a value may have."""


def oidc_attributes(claims: Claims) -> dict[str, Value]:
    """The identity behind an ID token: its standard claims under Convex's names, then all others as they are.

    A standard claim of the wrong type is left out, as is one of the others whose name is a field's.

    Raises:
        TooNested: as `custom_attributes`.
    """
    attributes = _who(claims)
    for field, claim in _TEXTS.items():
        if isinstance(text := claims.get(claim), str):
            attributes[field] = text
    for field, claim in _FLAGS.items():
        if (flag := _flag(claims.get(claim))) is not None:
            attributes[field] = flag
    if (address := _address(claims.get("address"))) is not None:
        attributes["address"] = address
    if (updated_at := _moment(claims.get("updated_at"))) is not None:
        attributes["updatedAt"] = updated_at
    for name, value in claims.items():
        if name not in _LEFT_OUT_OF_OIDC and name not in _FIELDS:
            attributes[name] = json_value(value)
    return attributes


def custom_attributes(claims: Claims) -> dict[str, Value]:
    """The identity behind a token of a custom provider: all its own claims, objects flattened: `properties.id`.

    Raises:
        TooNested: more than 64 arrays and objects in each other.
    """
    attributes = _who(claims)
    for name, value in claims.items():
        if name not in _LEFT_OUT:
            for path, leaf in _flattened(name, value, VALUE_DEPTH_MAX):
                if path not in _ALWAYS:
                    attributes[path] = json_value(leaf)
    return attributes


def json_value(value: object, depth: int = VALUE_DEPTH_MAX) -> Value:
    """A copy of what a JSON document holds. Whole numbers that a float64 has no room for become the nearest float.

    Raises:
        TooNested: more than `depth` arrays and objects in each other.
    """
    match value:
        case dict():
            inside = _deeper(depth)
            return {name: json_value(each, inside) for name, each in cast("dict[str, object]", value).items()}
        case list():
            inside = _deeper(depth)
            return [json_value(each, inside) for each in cast("list[object]", value)]
        case int() if not -EXACT_INT_MAX <= value <= EXACT_INT_MAX:
            try:
                return float(value)
            except OverflowError:
                return float("inf") if value > 0 else float("-inf")
        case _:
            return cast("Value", value)


def _who(claims: Claims) -> dict[str, Value]:
    issuer, subject = cast("str", claims["iss"]), cast("str", claims["sub"])
    return {"tokenIdentifier": f"{issuer}|{subject}", "issuer": issuer, "subject": subject}


def _flag(claim: object) -> bool | None:
    """Some providers write their flags as texts."""
    if isinstance(claim, bool):
        return claim
    return {"true": True, "false": False}.get(claim) if isinstance(claim, str) else None


def _address(claim: object) -> str | None:
    formatted = cast("dict[str, object]", claim).get("formatted") if isinstance(claim, dict) else None
    return formatted if isinstance(formatted, str) else None


def _moment(claim: object) -> str | None:
    """Seconds since 1970, or what some providers write instead, as RFC 3339."""
    try:
        if isinstance(claim, str):
            moment = datetime.fromisoformat(claim)
            return None if moment.tzinfo is None else moment.isoformat()
        if isinstance(claim, int | float) and not isinstance(claim, bool):
            return datetime.fromtimestamp(claim, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # no date, or one beyond the calendar
        pass
    return None


def _flattened(path: str, value: object, depth: int) -> Iterator[tuple[str, object]]:
    if not isinstance(value, dict):
        yield path, value
        return
    inside = _deeper(depth)
    for name, each in cast("dict[str, object]", value).items():
        yield from _flattened(f"{path}.{name}", each, inside)


def _deeper(depth: int) -> int:
    if depth == 0:
        raise TooNested("its claims are nested too deeply")
    return depth - 1
