"""`convex/_generated`, for Python and TypeScript."""
