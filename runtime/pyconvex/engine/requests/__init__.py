"""Requests that `dev` keeps."""
