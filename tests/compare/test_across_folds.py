"""Studies on folds are compared on the folds' validation rows, with the corrected t test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.small_studies import small

from search import Study, compare_studies
from search.compare.studies import FRESH
from search.record.curves import CURVES, Curves
from search.record.readings import READINGS
from search.study.retrain import Retraining, retrain

SET: dict[str, Any] = {"epochs": 6, "hidden": "16", "batch_size": 50, "l2": 0.0}
GOOD: dict[str, Any] = {
    "name": "good",
    "trials": 2,
    "pruner": {"name": "none"},
    "data": {"dataset": "wine", "folds": 5, "repeats": 2},
    "set": SET,
    "space": {"lr": {"low": 0.01, "high": 0.02}},
}
POOR = GOOD | {"name": "poor", "space": {"lr": {"low": 1e-6, "high": 2e-6}}}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Study]:
    folder = tmp_path_factory.mktemp("folds")
    one, other = (small(folder, **recipe).run(observers=()) for recipe in (GOOD, POOR))
    return one, other


def test_the_interval_is_nadeau_and_bengios(studies: tuple[Study, Study]) -> None:
    found = compare_studies(*studies, replicates=10, log=lambda _line: None)
    values = []
    for study in studies:
        best = study.best
        assert best is not None
        again = Retraining.of(study, best.number, best.params, range(FRESH, FRESH + 10))
        packs = {one.replicate % 10: one.network for one in retrain([again], "again", log=lambda _line: None)}
        epoch = int(Curves.decode(best.user_attrs[CURVES]).of("val_loss").astype(float).mean(0).argmin()) + 1
        assert {pack.epoch for pack in packs.values()} == {epoch}
        values.append([float(pack.score(pack.batches.x_val, pack.batches.validation)[1][0]) for pack in packs.values()])
        values[-1] = [values[-1][list(packs).index(fold)] for fold in range(10)]
    differences = 100 * (np.array(values[0]) - np.array(values[1]))
    data = studies[0].data
    overlap = np.mean([len(fold.x_val) / len(fold.x_train) for fold in data.folds])
    error = np.sqrt((1 / 10 + overlap) * differences.var(ddof=1))
    low, high = stats.t.interval(0.95, 9, differences.mean(), error)
    (pair,) = found.pairs
    assert (pair.score.interval.low, pair.score.interval.high) == pytest.approx((low, high), rel=1e-9)
    assert pair.score.p == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / error, 9), rel=1e-6)
    assert found.frame()["better"][0] == "good-wine"
    assert "beats" in found.sentence(pair)
    assert "10 folds" in found.sentence(pair)
    assert "Nadeau and Bengio" in str(found)


def test_the_test_split_is_not_read(studies: tuple[Study, Study]) -> None:
    compare_studies(*studies, replicates=2, log=lambda _line: None)
    assert all(READINGS not in study.optuna_study.user_attrs for study in studies)


def test_a_study_is_no_better_than_itself_with_other_seeds(tmp_path: Path, studies: tuple[Study, Study]) -> None:
    twin = small(tmp_path, **GOOD | {"name": "twin", "seed": 1}).run(observers=())
    (pair,) = compare_studies(studies[0], twin, replicates=10, score="roc_auc", log=lambda _line: None).pairs
    assert not pair.score.interval.excludes_zero
