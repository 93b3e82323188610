"""How often the test split of a study has been read: each look at it makes its figures a little less of a surprise."""

from __future__ import annotations

import optuna

READINGS = "test_readings"
"""Study attribute: how many times."""


def count_reading(study: optuna.Study) -> int:
    """Note one more reading, before it is done, and return how many there have been with it."""
    count = readings(study) + 1
    study.set_user_attr(READINGS, count)
    return count


def readings(study: optuna.Study) -> int:
    """How many times the test split has been read."""
    return int(study.user_attrs.get(READINGS, 0))
