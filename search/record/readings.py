"""Count how often the test split of a study has been read: the more often, the more biased are choices that follow."""

from __future__ import annotations

import optuna

READINGS = "test_readings"
"""Study attribute: the number of readings."""


def count_reading(study: optuna.Study) -> int:
    """Count one more reading, before it is done, and return the number of readings with it."""
    count = readings(study) + 1
    study.set_user_attr(READINGS, count)
    return count


def readings(study: optuna.Study) -> int:
    """Return how many times the test split has been read."""
    return int(study.user_attrs.get(READINGS, 0))
