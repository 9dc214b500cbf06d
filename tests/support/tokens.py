"""Tokens for tests: keys are drawn when they are needed, and issuers say in `auth_config.py` how they are verified.

issuer = Issuer()  # its keys are in a data: URI, so no server is needed
modules = {"auth_config": issuer.config(), ...}
token = issuer.token(sub="ada", name="Ada")
"""

import base64
import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

HOUR = 3600.0
AUDIENCE = "my-app"
IMPORTS = "from pyconvex.server import auth_config, custom_jwt, oidc\n"


@dataclass(frozen=True)
class SigningKey:
    """A private key that issuers sign with."""

    kid: str | None
    algorithm: str
    private: RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

    def sign(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        """A token with exactly these claims. `header` adds to its header; None takes something away from it."""
        given = {"kid": self.kid, **(header or {})}
        given = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(claims, self.private, self.algorithm, headers=given)

    def jwk(self, **members: Any) -> dict[str, Any]:
        """The public key for a JWK set. `members` replace its own; None leaves one out."""
        public: dict[str, Any] = get_default_algorithms()[self.algorithm].to_jwk(
            self.private.public_key(), as_dict=True
        )
        known = {**public, "key_ops": None, "kid": self.kid, "alg": self.algorithm, "use": "sig", **members}
        return {name: value for name, value in known.items() if value is not None}


@cache
def signing_key(algorithm: str = "RS256", kid: str | None = "key-1", *, bits: int = 2048) -> SigningKey:
    """The key of that name; the same one in the whole process, as drawing an RSA key takes a while."""
    match algorithm:
        case "RS256":
            return SigningKey(kid, algorithm, generate_rsa(65537, bits))
        case "ES256":
            return SigningKey(kid, algorithm, generate_private_key(SECP256R1()))
        case "EdDSA":
            return SigningKey(kid, algorithm, Ed25519PrivateKey.generate())
        case _:
            raise ValueError(f"no test needs {algorithm}")


def jwks(*keys: SigningKey) -> dict[str, Any]:
    return {"keys": [key.jwk() for key in keys]}


def data_uri(document: object) -> str:
    """A JSON document as a `data:` URI."""
    return f"data:text/plain;charset=utf-8;base64,{base64.b64encode(json.dumps(document).encode()).decode()}"


@dataclass
class Issuer:
    """A custom JWT provider that needs no server."""

    url: str = "https://issuer.test"
    audience: str | None = AUDIENCE
    key: SigningKey = field(default_factory=lambda: signing_key("ES256"))

    def config(self) -> str:
        """The text of an `auth_config.py` with this provider alone."""
        return f"{IMPORTS}default = auth_config({self.call()})\n"

    def call(self) -> str:
        """The provider for an `auth_config.py`, as Python."""
        given = {"issuer": self.url, "jwks": data_uri(jwks(self.key)), "algorithm": self.key.algorithm}
        if self.audience is not None:
            given["application_id"] = self.audience
        return f"custom_jwt({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    def claims(self, **claims: Any) -> dict[str, Any]:
        """What `token` says: good for an hour. `claims` replace and add; None leaves one out."""
        now = time.time()
        known = {"iss": self.url, "sub": "ada", "aud": self.audience, "iat": int(now), "exp": int(now + HOUR), **claims}
        return {name: value for name, value in known.items() if value is not None}

    def token(self, **claims: Any) -> str:
        return self.key.sign(self.claims(**claims))

    def bearer(self, **claims: Any) -> dict[str, str]:
        """The header of a request."""
        return {"authorization": f"Bearer {self.token(**claims)}"}


def encoded(document: object) -> str:
    """JSON, or bytes as they are, as a part of a token."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def any_tokens() -> st.SearchStrategy[str]:
    """Texts that a header can hold, and those that look more and more like a token, but never are a valid one."""
    text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
    claims = st.sampled_from(["iss", "aud", "exp", "nbf", "sub", "alg", "kid", "typ", "crit", "b64"])
    values = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | text | st.sampled_from([AUDIENCE, Issuer().url]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(claims | text, inner, max_size=4),
        max_leaves=8,
    )
    parts = (st.binary(max_size=60) | values).map(encoded)
    headers = st.fixed_dictionaries(
        {"alg": st.sampled_from(["ES256", "RS256", "HS256", "none"]) | values},
        optional={"kid": st.just("key-1") | values, "crit": values, "b64": values, "jwk": values, "jku": text},
    )
    payloads = st.fixed_dictionaries(
        {"iss": st.just(Issuer().url), "aud": st.just(AUDIENCE) | values, "sub": st.just("ada") | values},
        optional={"exp": st.just(2**40) | values, "nbf": values},
    )
    forged = st.tuples(headers.map(encoded), payloads.map(encoded), st.binary(max_size=64).map(encoded))
    return st.one_of(text, st.lists(parts, min_size=3, max_size=3).map(".".join), forged.map(".".join))
