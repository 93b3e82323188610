"""The techniques, one per file. They are found by their files; there is no list of them."""
