"""HTTP routes: which handler answers which path and method (https://docs.convex.dev/functions/http-actions)."""
