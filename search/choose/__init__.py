"""Who is tried next and who goes on: samplers by name, the grid, pruners among peers."""
