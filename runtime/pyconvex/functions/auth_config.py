"""Whose tokens count: what `auth_config.py` exports (https://docs.convex.dev/auth/advanced/custom-auth)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit

from pyconvex.errors import Place, PyconvexError, Remedy, caller_place

from .data_uri import decode_data_uri, is_data_uri

Algorithm: TypeAlias = Literal["RS256", "ES256"]
"""How the tokens of a custom provider are signed (RFC 7518, section 3.1)."""

CUSTOM_ALGORITHMS: Final = ("RS256", "ES256")
_DISCOVERY: Final = "/.well-known/openid-configuration"
_SPACE: Final = re.compile(r"[\s\x00-\x1f]")
_FROM_VARIABLE: Final = 'read a variable with `os.environ["NAME"]`: then a missing one is reported by its name'


class AuthConfigError(PyconvexError, ValueError):
    """A provider that no token could be verified with."""

    def __init__(self, code: str, message: str, *, hint: str, remedy: Remedy = Remedy.SAVE_FILE) -> None:
        super().__init__(code, message, hint=hint, remedy=remedy)


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """A provider whose keys are found through its discovery document. Made by `oidc`.

    `issuer` has its scheme and no slash at the end, here as in the other kind.
    """

    issuer: str
    application_id: str
    place: Place = field(compare=False)

    def __str__(self) -> str:
        return f"OIDC {self.issuer} (application_id {self.application_id})"


@dataclass(frozen=True, slots=True)
class CustomJwtProvider:
    """A provider whose keys are at a known address. Made by `custom_jwt`."""

    issuer: str
    jwks: str
    algorithm: Algorithm
    application_id: str | None
    place: Place = field(compare=False)

    def __str__(self) -> str:
        audience = "any audience" if self.application_id is None else f"application_id {self.application_id}"
        return f"custom JWT {self.issuer} ({audience})"


Provider: TypeAlias = OidcProvider | CustomJwtProvider


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """The providers of a deployment, in the order in which they are tried. Made by `auth_config`."""

    providers: tuple[Provider, ...] = ()


NO_AUTH: Final = AuthConfig()
"""A project without `auth_config.py`: no token counts."""


def auth_config(*providers: Provider) -> AuthConfig:
    """The providers whose tokens say who a user is; `auth_config.py` exports it as `default`.

        default = auth_config(oidc(domain="https://my-app.clerk.accounts.dev", application_id="convex"))

    Raises:
        AuthConfigError: something else than what `oidc(...)` and `custom_jwt(...)` return.

    https://docs.convex.dev/auth
    """
    for provider in providers:
        if not isinstance(provider, Provider):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise AuthConfigError(
                "NoAuthProvider",
                f"auth_config() takes providers, not {_described(provider)}",
                hint=_hint_for(provider),
            )
    return AuthConfig(providers)


def oidc(*, domain: str, application_id: str) -> OidcProvider:
    """A provider that speaks OpenID Connect: Clerk, Auth0, Google, Keycloak, … Tokens are RS256, ES256 or EdDSA.

    Args:
        domain: the issuer, as its tokens have it in `iss`; `https://` is assumed when there is no scheme.
        application_id: the audience of its tokens (`aud`).

    Raises:
        AuthConfigError: no URL, or no application id.
    """
    issuer = _issuer("oidc(domain=...)", domain)
    _check_domain(domain, issuer)
    return OidcProvider(issuer, _text("oidc(application_id=...)", application_id), caller_place())


def custom_jwt(*, issuer: str, jwks: str, algorithm: Algorithm, application_id: str | None = None) -> CustomJwtProvider:
    """A provider with keys at an address of their own, for tokens that one signs oneself.

    Args:
        issuer: as the tokens have it in `iss`; `https://` is assumed when there is no scheme.
        jwks: address of the JWK set (RFC 7517, section 5): an http(s) URL, or the set itself as a `data:` URI.
        algorithm: how tokens are signed; others are refused.
        application_id: the audience of the tokens (`aud`); without it every audience will do.

    Raises:
        AuthConfigError: something among these that cannot be.

    https://docs.convex.dev/auth/advanced/custom-jwt
    """
    known = _issuer("custom_jwt(issuer=...)", issuer)
    _check_jwks(_text("custom_jwt(jwks=...)", jwks))
    _check_algorithm(algorithm)
    if application_id is not None:
        _text("custom_jwt(application_id=...)", application_id)
    return CustomJwtProvider(known, jwks, algorithm, application_id, caller_place())


def normalized_issuer(issuer: str) -> str:
    """`issuer` as issuers are compared: with a scheme, without a slash at the end."""
    if not issuer.startswith(("https://", "http://")):
        issuer = f"https://{issuer}"
    return issuer.removesuffix("/")


def _issuer(parameter: str, given: object) -> str:
    text = _text(parameter, given)
    if _DISCOVERY in text:
        raise AuthConfigError(
            "BadIssuer",
            f"{parameter} is {text!r}, which is the address of a document",
            hint=f"give what stands before it: {text.partition(_DISCOVERY)[0]!r}",
        )
    return normalized_issuer(text)


def _text(parameter: str, given: object) -> str:
    if given is None or given == "":
        raise AuthConfigError(
            "AuthConfigIncomplete",
            f"{parameter} is {'None' if given is None else 'empty'}",
            hint=_FROM_VARIABLE,
            remedy=Remedy.SET_VARIABLE,
        )
    if not isinstance(given, str):
        raise AuthConfigError("AuthConfigIncomplete", f"{parameter} must be a text, not {given!r}", hint="write a str")
    if given != given.strip():
        raise AuthConfigError(
            "AuthConfigIncomplete", f"{parameter} is {given!r}, with space around it", hint="take the space away"
        )
    return given


def _check_domain(domain: str, issuer: str) -> None:
    """Raises `AuthConfigError` `BadUrl` unless the issuer is http(s), names a host, and has nothing but a path."""
    hint = "write a URL such as 'https://auth.example.org'"
    parts = _url_parts(issuer)
    if "://" in issuer.partition("://")[2]:
        parts, hint = None, "only http:// and https:// work here"
    elif parts is not None and (parts.query or parts.fragment or parts.username):
        parts, hint = None, "leave out user, query and fragment"
    if parts is None:
        raise AuthConfigError("BadUrl", f"oidc(domain=...) is {domain!r}, which is no URL of an issuer", hint=hint)


def _url_parts(url: str) -> SplitResult | None:
    """`url` taken apart, None when it is not http(s) or names no host."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not _SPACE.search(url)
    except ValueError:  # a port that is no number, a bracket that is not closed
        return None
    return parts if sound else None


def _check_jwks(jwks: str) -> None:
    if is_data_uri(jwks):
        _check_inline_keys(jwks)
        return
    if _url_parts(jwks) is None:
        raise AuthConfigError(
            "BadUrl",
            f"custom_jwt(jwks=...) is {jwks[:200]!r}, which is no URL of a JWK set",
            hint="write an https:// URL, or the set itself as 'data:text/plain;charset=utf-8;base64,…'",
        )


def _check_inline_keys(uri: str) -> None:
    """Raises `AuthConfigError` `BadJwks` unless the URI holds a JWK set, as far as that shows without cryptography."""
    try:
        known: object = json.loads(decode_data_uri(uri))
        keys = cast("dict[str, object]", known).get("keys") if isinstance(known, dict) else None
        reason = None if isinstance(keys, list) and keys else 'it has no list of "keys"'
    except (ValueError, RecursionError) as error:
        reason = str(error)
    if reason is not None:
        raise AuthConfigError(
            "BadJwks",
            f"the data: URI in custom_jwt(jwks=...) holds no JWK set: {reason}",
            hint='it is the base64 of {"keys": [{"kty": …, "kid": …}]}',
        )


def _check_algorithm(algorithm: object) -> None:
    if algorithm in CUSTOM_ALGORITHMS:
        return
    hint = "have tokens signed with RS256 or ES256"
    if isinstance(algorithm, str) and algorithm.upper().startswith(("HS", "NONE")):
        hint += ": whoever could verify such a token could also forge it"
    raise AuthConfigError(
        "BadAlgorithm", f"custom_jwt(algorithm=...) is {algorithm!r}, but must be 'RS256' or 'ES256'", hint=hint
    )


def _described(given: object) -> str:
    if given in (oidc, custom_jwt):
        return f"the function `{given.__name__}`"  # type: ignore[attr-defined]  # one of the two
    return "None" if given is None else f"a {type(given).__name__}"


def _hint_for(given: object) -> str:
    match given:
        case Mapping():
            fields = cast("Mapping[object, object]", given)
            if "providers" in fields:
                return "give the providers themselves: `auth_config(oidc(...), custom_jwt(...))`"
            if fields.get("type") == "customJwt":
                return "write `custom_jwt(issuer=..., jwks=..., algorithm=..., application_id=...)`"
            return "write `oidc(domain=..., application_id=...)`"
        case list() | tuple():
            return "give them one by one: `auth_config(*providers)`"
        case _ if given in (oidc, custom_jwt):
            return f"call it: `{given.__name__}(...)`"  # type: ignore[attr-defined]  # one of the two
        case _:
            return "make each with `oidc(...)` or `custom_jwt(...)`"
