"""The overfit check: find out whether a study can memorise one batch, and if not, why not."""
