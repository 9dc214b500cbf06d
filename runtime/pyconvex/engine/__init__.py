"""Runs functions: the loop that drives queries and mutations, their limits, `ctx`, identities, logs and versions."""
