"""Trial records: curves into the Optuna study (the truth), and the process that shows them in MLflow (a view of it)."""
