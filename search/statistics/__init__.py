"""Means and differences of networks with their uncertainty: over replicates and rows, and over folds."""
