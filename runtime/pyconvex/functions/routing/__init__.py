"""Routes of HTTP actions, middleware, CORS."""
