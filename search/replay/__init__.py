"""Train a trial again, alone, and compare it with its record."""
