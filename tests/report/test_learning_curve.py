"""The learning curve of a report: the values of a study that trains the same setting on parts of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.records import entry, record
from support.small_studies import Quiet, small

from search.report import learning_curve
from search.report.learning_curve import FRACTIONS, LearningCurve
from search.report.record import read


def test_its_values_are_those_of_a_study_of_these_parts(tmp_path: Path) -> None:
    study = small(tmp_path, replicates=2).run(observers=[Quiet()])
    of = read(study)
    curve = learning_curve.train(study, of)
    rows = len(study.data.x_train)
    assert curve.rows == [int(np.ceil(fraction * rows)) for fraction in (*FRACTIONS, 1)]
    settings = [{"set": {**of.best.params, "train_fraction": fraction}} for fraction in FRACTIONS]
    changes = {"techniques": ["l2", "train_fraction"], "settings": settings, "space": {}, "pruner": {"name": "none"}}
    parts = small(tmp_path, storage="parts.db", replicates=2, sampler="grid", **changes).run(observers=[Quiet()])
    values = [trial.value for trial in parts.optuna_study.trials]
    assert [float(one.mean()) for one in curve.values] == pytest.approx([*values, of.best.value], rel=1e-12)
    shown = learning_curve.draw(of, curve)
    assert shown.figure is not None
    ((_, _, bars),) = shown.figure.axes[0].containers
    assert len(bars[0].get_segments()) == 4


def test_what_the_last_doubling_did_is_said() -> None:
    of = record([entry(0, [0.25]), entry(1, [0.5])])
    better = LearningCurve.of([50, 100], [np.array([0.5]), np.array([0.25])])
    drawn = learning_curve.draw(of, better).caption
    assert "From 50 to 100 training rows, its validation loss went from 0.5 to 0.25" in drawn
    assert drawn.endswith("which is better: more rows may help.")
    worse = LearningCurve.of([25, 50, 100], [np.array([np.inf]), np.array([0.125]), np.array([0.25])])
    assert worse.rows == [50, 100], "it diverged on a quarter"
    assert "no better: more rows may not help" in learning_curve.sentence(of, worse)
    assert learning_curve.draw(of, LearningCurve.of([9], [np.array([0.25])])).figure is None
