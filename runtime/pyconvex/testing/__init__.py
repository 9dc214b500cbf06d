"""Testing one's own functions on the real engine, in memory and without ports."""
