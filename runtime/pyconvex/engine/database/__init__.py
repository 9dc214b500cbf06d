"""`ctx.db`."""
