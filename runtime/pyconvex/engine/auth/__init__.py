"""Who asks: tokens, the keys that verify them, identities."""
