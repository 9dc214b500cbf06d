"""Full-text and vector search, alike on both engines."""
