"""Convex's sync protocol: live queries, mutations and actions over one WebSocket per client."""
