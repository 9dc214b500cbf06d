"""Verifying tokens: JSON Web Tokens (RFC 7519) of the providers in `auth_config.py`.

PyJWT verifies signatures. Which key and algorithm count, and what a token must say, is decided here, with Convex's
errors. https://docs.convex.dev/auth
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NoReturn, cast

from msgspec import Struct

from pyconvex.engine.auth.claims import TooNested, custom_attributes, oidc_attributes
from pyconvex.engine.auth.identity import Identity, verified
from pyconvex.engine.auth.key_documents import FetchFailed
from pyconvex.engine.auth.key_sets import KeySets
from pyconvex.errors import RequestRefused
from pyconvex.functions.auth_config import CustomJwtProvider, OidcProvider, normalized_issuer

if TYPE_CHECKING:
    from jwt import PyJWS

    from pyconvex.clock import Clock
    from pyconvex.engine.auth.key_sets import Key
    from pyconvex.functions.auth_config import AuthConfig, Provider

TOKEN_BYTES_MAX: Final = 64 * 1024
LEEWAY_SECONDS: Final = 5.0
"""How far the clock of a custom provider may be off, and that of any provider for `nbf`."""
REMEMBERED_MAX: Final = 4096
"""How many tokens are known whose signature need not be verified again; about a megabyte."""
OIDC_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")

_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
_UNVERIFIED: Final = (
    "Could not verify OIDC token claim. Check that the token signature is valid and the token hasn't expired."
)
_NO_JWT: Final = "Check that the token is a valid JWT format with three base64-encoded parts separated by dots."


class Rejected(Exception):
    """Why a token does not count; its provider's kind decides how that is answered."""


class Token(Struct, frozen=True):
    """A token as it says itself; nothing of it is verified."""

    text: str
    header: dict[str, object]
    claims: dict[str, object]

    @property
    def audiences(self) -> Sequence[str]:
        stated = self.claims.get("aud")
        listed = cast("list[object]", stated) if isinstance(stated, list) else [stated]
        return [each for each in listed if isinstance(each, str)]

    @property
    def names_several_audiences(self) -> bool:
        stated = self.claims.get("aud")
        return isinstance(stated, list) and len(cast("list[object]", stated)) > 1

    @property
    def algorithm(self) -> object:
        return self.header.get("alg")

    def number(self, claim: str) -> float | None:
        """A point in time, in seconds since 1970; None where the token has none.

        Raises:
            Rejected: it is no number.
        """
        stated = self.claims.get(claim)
        if stated is None:
            return None
        if isinstance(stated, bool) or not isinstance(stated, int | float) or not abs(stated) < 2**53:
            raise Rejected(f"`{claim}` is no point in time")
        return float(stated)


class Tokens:
    """Verifies tokens. One per deployment: it keeps the providers' keys.

    Args:
        redact: whether to keep the configured providers out of error messages.
    """

    def __init__(self, clock: Clock, *, redact: bool = False) -> None:
        self._clock = clock
        self._redact = redact
        self._key_sets = KeySets(clock)
        self._signed: dict[bytes, Key] = {}

    async def verify(self, token: str, providers: AuthConfig) -> Identity:
        """The user whose token this is.

        Raises:
            RequestRefused: 401 `InvalidAuthHeader`, `NoAuthProvider`, `Unauthenticated`; 400
                `AuthProviderDiscoveryFailed`; 503 `AuthProviderUnavailable` when the provider's keys cannot be had now.
        """
        parsed = parse(token)
        provider = self._provider(parsed, providers)
        try:
            return await self._verified(parsed, provider, providers)
        except (Rejected, TooNested) as error:
            if isinstance(provider, OidcProvider):
                raise RequestRefused(401, "Unauthenticated", f"{_UNVERIFIED} ({error})") from None
            raise _invalid(str(error)) from None

    def _provider(self, token: Token, config: AuthConfig) -> Provider:
        """The first that the token may be of."""
        stated = token.claims.get("iss")
        if not isinstance(stated, str) or not stated:
            raise _invalid("Missing issuer: the token has no `iss`.")
        issuer, audiences = normalized_issuer(stated), token.audiences
        for provider in config.providers:
            if provider.issuer == issuer and (provider.application_id is None or provider.application_id in audiences):
                return provider
        message = "No auth provider found matching the given token"
        if not config.providers:
            message += " (no providers are configured)"
        elif not self._redact:
            known = ", ".join(map(str, config.providers))
            message += f" of issuer {stated[:200]} and audience {', '.join(audiences)[:200] or '(none)'}."
            message += f" Configured are: {known}"
        raise RequestRefused(401, "NoAuthProvider", f"{message}.", hint="the providers are in `convex/auth_config.py`")

    async def _verified(self, token: Token, provider: Provider, config: AuthConfig) -> Identity:
        # What needs no keys comes first: a stale token is no reason to fetch any.
        is_oidc = isinstance(provider, OidcProvider)
        algorithm = _algorithm(token, provider)
        _check_subject(token)
        if is_oidc and token.names_several_audiences:
            raise Rejected("Could not validate token: it is for several audiences")
        leeway = 0.0 if is_oidc else LEEWAY_SECONDS
        expires = self._check_times(token, leeway)
        key = await self._key(token, provider, algorithm, config)
        self._check_signature(token, key)
        attributes = oidc_attributes(token.claims) if is_oidc else custom_attributes(token.claims)
        return verified(attributes, expires=expires + leeway, token=token.text)

    def _check_times(self, token: Token, leeway: float) -> float:
        """When the token expires (seconds since 1970).

        Raises:
            Rejected: it has already, it never does, or it does not count yet.
        """
        now = self._clock.now_ms() / 1000
        expires, begins = token.number("exp"), token.number("nbf")
        if expires is None:
            raise Rejected("Missing expiry: the token has no `exp`")
        if now >= expires + leeway:
            raise Rejected(f"Could not validate token: Token expired {math.floor(now - expires)} seconds ago")
        if begins is not None and begins > now + LEEWAY_SECONDS:
            raise Rejected(f"Could not validate token: Token will be valid in {math.ceil(begins - now)} seconds")
        return expires

    async def _key(self, token: Token, provider: Provider, algorithm: str, config: AuthConfig) -> Key:
        self._key_sets.keep_only(config)
        named = _key_id(token, provider)
        try:
            key = (await self._key_sets.of(provider)).find(named, algorithm)
            if key is None and named is not None:  # perhaps the provider has new ones
                key = (await self._key_sets.of(provider, newest=True)).find(named, algorithm)
        except FetchFailed as failed:
            raise _without_keys(provider, failed) from None
        if key is None:
            which = "to be meant without a `kid`" if named is None else f"with kid {named[:200]!r}"
            raise Rejected(f"Could not validate token: the provider has no {algorithm} key {which}")
        return key

    def _check_signature(self, token: Token, key: Key) -> None:
        """Clients send a token with each request, so what this very key has verified is remembered.

        Raises:
            Rejected: somebody else has signed it.
        """
        digest = hashlib.sha256(token.text.encode()).digest()
        if self._signed.get(digest) is key:
            return
        from jwt import PyJWTError

        try:
            _jws().decode_complete(token.text, key.material, algorithms=[key.algorithm])
        except (PyJWTError, ValueError, TypeError) as error:
            raise Rejected(f"Could not validate token: {error}") from None
        while len(self._signed) >= REMEMBERED_MAX:
            del self._signed[next(iter(self._signed))]
        self._signed[digest] = key


def parse(text: str) -> Token:
    """What a token says, unverified.

    Raises:
        RequestRefused: 401 `InvalidAuthHeader` when it is no JWT.
    """
    if len(text) > TOKEN_BYTES_MAX:
        raise _invalid(f"The token is longer than {TOKEN_BYTES_MAX} bytes.")
    decoded = [_decoded(part) for part in text.split(".")]
    if len(decoded) != 3 or None in decoded:
        raise _invalid(f"Could not parse JWT. {_NO_JWT}")
    header, payload, _ = decoded
    return Token(text, _object("header", header), _object("payload", payload))


def _decoded(part: str) -> bytes | None:
    """Base64 as tokens have it (RFC 7515, section 2), in the one way in which it is written."""
    if _PART.fullmatch(part) is None or len(part) % 4 == 1:
        return None
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return decoded if base64.urlsafe_b64encode(decoded).rstrip(b"=") == part.encode() else None


def _object(name: str, text: bytes | None) -> dict[str, object]:
    try:
        known: object = json.loads((text or b"").decode("utf-8"), parse_constant=_no_json)
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise _invalid(f"Could not parse JWT {name}. {_NO_JWT}")
    return cast("dict[str, object]", known)


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _algorithm(token: Token, provider: Provider) -> str:
    """The algorithm of the token, if it is one that its provider may use; `none` and shared secrets never are."""
    for extension in ("crit", "b64"):  # RFC 7515, section 4.1.11: what is not understood must not be passed over
        if extension in token.header:
            raise Rejected(f"Could not validate token: its header asks for `{extension}`, which is not supported")
    allowed = OIDC_ALGORITHMS if isinstance(provider, OidcProvider) else (provider.algorithm,)
    for algorithm in allowed:
        if token.algorithm == algorithm:
            return algorithm
    stated = str(token.algorithm)[:40]
    raise Rejected(f"Could not validate token: it is signed with {stated}, not with {' or '.join(allowed)}")


def _check_subject(token: Token) -> None:
    if not isinstance(subject := token.claims.get("sub"), str) or not subject:
        raise Rejected("Missing subject: the token has no `sub`")


def _key_id(token: Token, provider: Provider) -> str | None:
    named = token.header.get("kid")
    if isinstance(named, str):
        return named
    if isinstance(provider, CustomJwtProvider) or named is not None:
        raise Rejected("Could not validate token: its header has no `kid`, which says by which key it is signed")
    return None


@cache
def _jws() -> PyJWS:
    from jwt import PyJWS

    return PyJWS()


def _without_keys(provider: Provider, failed: FetchFailed) -> RequestRefused:
    if failed.passing:
        return RequestRefused(503, "AuthProviderUnavailable", f"Auth provider unavailable: {failed.reason}")
    if isinstance(provider, OidcProvider):
        message = f"Auth provider discovery of {provider.issuer} failed: {failed.reason}"
        return RequestRefused(400, "AuthProviderDiscoveryFailed", message)
    return _invalid(f"Could not fetch the JWKS: {failed.reason}")


def _invalid(message: str) -> RequestRefused:
    return RequestRefused(401, "InvalidAuthHeader", message)
