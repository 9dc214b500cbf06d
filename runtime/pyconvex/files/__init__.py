"""Stored files: their bytes behind one Protocol. Their documents in `_storage` are the engine's."""
