"""A study: a recipe with its data and its Optuna study; how it is opened, found again and run to its budget."""
