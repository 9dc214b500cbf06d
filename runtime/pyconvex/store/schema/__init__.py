"""The active schema of a deployment: tables, indexes, and how they change."""
