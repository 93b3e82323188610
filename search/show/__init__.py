"""What a person reads: tables of trials."""
