"""Pieces of what a person reads: tables, numbers, HTML, and the files of figures."""
