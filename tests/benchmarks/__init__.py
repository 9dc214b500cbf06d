"""Benchmarks: each figure is a ratio to a peer measured side by side in one run, with the raw figures beside it."""
