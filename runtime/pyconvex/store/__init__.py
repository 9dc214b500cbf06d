"""Documents, transactions and commits. The store knows no function and no HTTP."""
