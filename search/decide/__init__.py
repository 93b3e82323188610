"""Decide what a search has found: which trial, what it is worth on new rows, and what cannot be told from it."""
