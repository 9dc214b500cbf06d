"""`ctx.storage` and the files behind it."""
