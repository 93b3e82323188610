"""Find out which techniques of a trial mattered: switch each one off, train again, and compare."""
