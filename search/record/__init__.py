"""The record of a study in its Optuna study: curves, summaries, objectives, environments, readings of the test data."""
