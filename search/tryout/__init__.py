"""Trying a technique from outside the package on a tiny pack, before a study uses it."""
