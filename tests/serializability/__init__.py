"""A checker of serializability: histories, what can be wrong with them, and workloads that make them."""
