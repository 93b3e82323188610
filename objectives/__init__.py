"""The techniques, one per file, each found by its file: none is listed anywhere."""
