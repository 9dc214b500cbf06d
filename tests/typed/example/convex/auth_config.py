"""Whose tokens count, and what is known of who asks."""

from pyconvex.server import auth_config, custom_jwt, oidc

default = auth_config(
    oidc(domain="https://my-app.clerk.accounts.dev", application_id="convex"),
    custom_jwt(issuer="https://my.issuer", jwks="https://my.issuer/jwks.json", algorithm="RS256", application_id="app"),
    custom_jwt(issuer="https://other.issuer", jwks="https://other.issuer/jwks.json", algorithm="ES256"),
)
