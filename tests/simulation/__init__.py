"""Deployments of which a seed decides everything: time, chance, the order of events, and what fails."""
