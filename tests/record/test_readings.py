"""Readings of the test split are counted in the study, so that they are seen wherever it is opened next."""

from __future__ import annotations

from pathlib import Path

import optuna

from search.record.readings import count_reading, readings


def test_counts_on_in_the_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=url, study_name="one")
    assert readings(study) == 0
    assert [count_reading(study), count_reading(study)] == [1, 2]
    again = optuna.load_study(study_name="one", storage=url)
    assert count_reading(again) == 3
    assert readings(study) == 3
