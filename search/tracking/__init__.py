"""MLflow's view of a study, which a separate process writes."""
