"""The pytest plugin of pyconvex."""
