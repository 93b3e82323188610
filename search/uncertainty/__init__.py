"""Measure the uncertainty of a trial's predictions by Monte Carlo dropout."""
