"""One module per command. Each imports at its top only what parsing needs."""
