"""Choose the next trials' hyperparameters, and which trials continue: samplers, the grid, pruners, extensions."""
