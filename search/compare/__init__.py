"""Compare studies by their chosen trials, on fresh replicates and the test split."""
