"""Metrics of predictions: what each one is, whether it is to be minimised or maximised, and its computation."""
