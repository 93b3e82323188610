"""What messages call a model: its title says what the model file holds."""

from __future__ import annotations


def trial_title(study: str, trial: int | None) -> str:
    """Return the title of a trial's network."""
    return f"trial {trial} of {study}"


def ensemble_title(study: str) -> str:
    """Return the title of an ensemble."""
    return f"an ensemble of {study}"
