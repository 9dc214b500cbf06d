"""The public keys of providers, found through their discovery documents or at a known address."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from msgspec import Struct

from pyconvex.engine.auth.key_documents import Document, Fetched, FetchFailed
from pyconvex.functions.auth_config import AuthConfig, OidcProvider, Provider, normalized_issuer
from pyconvex.functions.data_uri import is_data_uri

if TYPE_CHECKING:
    from jwt import PyJWK

    from pyconvex.clock import Clock

RSA_BITS_MIN: Final = 2048
"""RFC 7518, section 3.3."""

_JSON_TYPES: Final = frozenset({"application/json", "application/jwk-set+json"})
_ALGORITHMS: Final = {("RSA", ""): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_PUBLIC_MEMBERS: Final = ("kty", "n", "e", "crv", "x", "y")
_SPELLINGS: Final = {"EdDSA": {None, "EdDSA", "Ed25519"}}  # RFC 9864 renames it


class Key(Struct, frozen=True):
    """A public key, and what it verifies."""

    id: str | None
    algorithm: str
    material: PyJWK


class KeySet(Struct, frozen=True):
    keys: tuple[Key, ...]

    def find(self, id: str | None, algorithm: str) -> Key | None:
        """The key of that name, or the only one that may be meant where a token names none."""
        fitting = [key for key in self.keys if key.algorithm == algorithm and (id is None or key.id == id)]
        return fitting[0] if fitting and (id is not None or len(fitting) == 1) else None


class KeySets:
    """The keys of every provider, and what they were found through."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._config = AuthConfig()
        self._discoveries: dict[Provider, Document[str]] = {}
        self._keys: dict[tuple[Provider, str], Document[KeySet]] = {}

    def keep_only(self, config: AuthConfig) -> None:
        """Forget what belongs to providers that are not in `config` any more."""
        if config is self._config:
            return
        self._config = config
        for known in [each for each in self._discoveries if each not in config.providers]:
            del self._discoveries[known]
        for known in [each for each in self._keys if each[0] not in config.providers]:
            del self._keys[known]

    async def of(self, provider: Provider, *, newest: bool = False) -> KeySet:
        """The keys of `provider`.

        Args:
            newest: fetch them again, unless that was done just now.

        Raises:
            FetchFailed: they cannot be had.
        """
        url = await self._address(provider) if isinstance(provider, OidcProvider) else provider.jwks
        document = self._keys.get((provider, url))
        if document is None:
            for old in [each for each in self._keys if each[0] == provider]:
                del self._keys[old]
            strict = not isinstance(provider, OidcProvider)
            document = Document(self._clock, url, partial(read_keys, url=url, strict=strict))
            self._keys[provider, url] = document
        return await document.renewed() if newest else await document.current()

    async def _address(self, provider: OidcProvider) -> str:
        document = self._discoveries.get(provider)
        if document is None:
            url = f"{provider.issuer}/.well-known/openid-configuration"
            document = Document(self._clock, url, partial(read_discovery, issuer=provider.issuer))
            self._discoveries[provider] = document
        return await document.current()


def read_discovery(fetched: Fetched, issuer: str) -> str:
    """Where the keys are, from a discovery document (OpenID Connect Discovery 1.0, sections 3 and 4.3).

    Raises:
        FetchFailed: it is none, or another issuer's.
    """
    metadata = _object(fetched, "the discovery document")
    stated, address = metadata.get("issuer"), metadata.get("jwks_uri")
    if not isinstance(stated, str) or normalized_issuer(stated) != issuer:
        raise FetchFailed(f"the discovery document of {issuer} is that of the issuer {stated!r}")
    allowed = ("https",) if issuer.startswith("https:") else ("http", "https")
    if not isinstance(address, str) or urlsplit(address).scheme not in allowed:
        raise FetchFailed(f"the discovery document of {issuer} has no usable `jwks_uri`: {address!r}")
    return address


def read_keys(fetched: Fetched, url: str, *, strict: bool) -> KeySet:
    """The keys of a JWK set (RFC 7517, section 5) that verify something; the others are passed over.

    Args:
        strict: whether a server has to name the media type.

    Raises:
        FetchFailed: it is none.
    """
    if not is_data_uri(url) and fetched.media_type not in _JSON_TYPES and (strict or fetched.media_type is not None):
        raise FetchFailed(f"{url} answered with {fetched.media_type or 'no content type'}, not with application/json")
    listed = _object(fetched, "the JWK set").get("keys")
    if not isinstance(listed, list):
        raise FetchFailed('the JWK set has no list of "keys"')
    keys = (_key(cast("dict[str, object]", each)) for each in cast("list[object]", listed) if isinstance(each, dict))
    return KeySet(tuple(key for key in keys if key is not None))


def _object(fetched: Fetched, what: str) -> dict[str, object]:
    try:
        known: object = json.loads(fetched.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"{what} is no JSON: {error}") from None
    if not isinstance(known, dict):
        raise FetchFailed(f"{what} is no JSON object")
    return cast("dict[str, object]", known)


def _key(members: dict[str, object]) -> Key | None:
    """A key of the set, None when it is for something else, too weak, or broken."""
    from jwt import PyJWK, PyJWTError  # 115 ms, paid in the thread that fetches

    kind, curve = members.get("kty"), members.get("crv")
    algorithm = _ALGORITHMS.get((str(kind), "" if kind == "RSA" else str(curve)))
    if algorithm is None or not _signs(members, algorithm):
        return None
    public: dict[str, Any] = {name: members[name] for name in _PUBLIC_MEMBERS if name in members}
    try:
        material = PyJWK(public, algorithm)
    except (PyJWTError, ValueError, TypeError, AttributeError, OverflowError):
        return None
    if algorithm == "RS256" and material.key.key_size < RSA_BITS_MIN:
        return None
    named = members.get("kid")
    return Key(named if isinstance(named, str) else None, algorithm, material)


def _signs(members: dict[str, object], algorithm: str) -> bool:
    """Whether a key is there to verify signatures of that kind (RFC 7517, sections 4.2 to 4.4)."""
    operations = members.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return False
    spellings: set[object] = {*_SPELLINGS.get(algorithm, {None, algorithm})}
    return members.get("use") in (None, "sig") and members.get("alg") in spellings
