"""Signatures of webhooks: who sent a request, and when. One module for each scheme."""
