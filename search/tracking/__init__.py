"""The view that MLflow has of a study, written by a process of its own."""
