"""The study: a recipe with its data and its Optuna study, from opening it to reading its results."""
