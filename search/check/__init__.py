"""The overfit check: whether a study can learn one batch by heart, and if not, why not."""
