"""What a person types: the `pyconvex` command. It renders; the runtime decides."""
