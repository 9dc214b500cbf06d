"""Convex for Python developers. Users import `pyconvex.server`, `pyconvex.values` and `pyconvex.testing`."""

__version__ = "0.1.0"
