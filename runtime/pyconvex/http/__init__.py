"""What answers HTTP: the ASGI entry, HTTP actions, the client API, the admin API and stored files."""
