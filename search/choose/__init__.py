"""Choose the hyperparameters of the next trials, and the trials that go on: samplers, the grid, pruners, extensions."""
