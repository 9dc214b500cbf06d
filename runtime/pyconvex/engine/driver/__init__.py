"""Running the code of queries and mutations: its loop, its limits, its clock and chance."""
