"""Predictions for new rows, by a model file or by the network of a study's trial."""
