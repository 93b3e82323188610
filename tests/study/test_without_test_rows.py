"""A study whose data have no test part trains as any other, and says so where its test split would be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.small_studies import SMALL, small

from search import RequestError, compare_studies

DATA = SMALL["data"] | {"test": 0}


@pytest.mark.slow
def test_its_test_split_is_not_read(tmp_path: Path) -> None:
    studies = [small(tmp_path, name=name, data=DATA, trials=3, pruner={"name": "none"}) for name in ("one", "other")]
    for study in studies:
        study.run(observers=())
        assert len(study.data.x_train) + len(study.data.x_val) == 178
        assert any("no test split (test = 0)" in note for note in study.notes())
    with pytest.raises(RequestError, match=r"data set wine has no test split \(test = 0\): .* as with --test 0\.2"):
        compare_studies(*studies)
    report = studies[0].report(tmp_path / "report", training=True)
    assert report.left_out["test"].startswith("This study has no test split (test = 0)")
    assert "weights" in report.figures
    assert report.test_readings == 0
    assert "test" not in {statement.about for statement in report.statements}
    numbers = [trial.number for trial in studies[0].optuna_study.trials]
    assert studies[0].replay(numbers[0]).same
