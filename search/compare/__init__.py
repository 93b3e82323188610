"""Studies compared on fresh replicates and the test split."""
