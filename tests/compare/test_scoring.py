"""Comparisons by another metric than accuracy or RMSE: which one is chosen, its numbers, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from support.small_studies import small

from search import Study
from search.compare import __main__ as compare
from search.compare.studies import FRESH, compare_studies
from search.errors import RequestError
from search.statistics.crossed import crossed
from search.study.retrain import Retraining, retrain

GOOD: dict[str, Any] = {"name": "good", "space": {"lr": {"low": 1e-2, "high": 2e-2}}, "techniques": []}
POOR: dict[str, Any] = {"name": "poor", "space": {"lr": {"low": 1e-6, "high": 2e-6}}, "techniques": []}
F1 = {"objective": ["val_f1"]}
NUMBERS = {"data": {"dataset": "diabetes"}}

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def study(folder: Path, recipe: dict[str, Any]) -> Study:
    changes = {"trials": 2, "pruner": {"name": "none"}, "set": {"epochs": 6, "hidden": "16", "batch_size": 50}}
    return small(folder, storage=f"{recipe['name']}.db", **changes | recipe).run(observers=(), decide=False)


def both(folder: Path, more: dict[str, Any]) -> list[Study]:
    return [study(folder, one | more) for one in (GOOD, POOR)]


def on_test_rows(of: Study) -> list[tuple[Any, Any]]:
    """Return the truth and the predictions of the best trial's networks on fresh replicates, on the test rows."""
    assert of.best is not None
    retraining = Retraining.of(of, of.best.number, of.best.params, range(FRESH, FRESH + 3))
    networks = sorted(retrain([retraining], "", str), key=lambda one: one.replicate)
    raw = [one.network.predict(of.batches.x_test)[0, :, : of.data.outputs].double() for one in networks]
    if of.data.targets is None:
        return [(of.data.y_test.numpy(), one.softmax(-1).numpy()) for one in raw]
    return [tuple(of.data.targets.invert(rows.double()).numpy() for rows in (of.data.y_test, one)) for one in raw]


def test_the_common_objective_is_what_verdicts_are_on(tmp_path: Path) -> None:
    studies = both(tmp_path, F1)
    found = compare_studies(*studies, replicates=3, log=str)
    assert (found.metric, found.label) == ("f1", "test macro F1")
    scores = [[sk.f1_score(y, p.argmax(1), average="macro") for y, p in on_test_rows(one)] for one in studies]
    (pair,) = found.pairs
    assert [found.score(arm).value for arm in found.arms] == pytest.approx([np.mean(one) for one in scores])
    assert pair.score.interval.value == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]))
    low, high = pair.score.interval.low, pair.score.interval.high
    assert 0 < low < pair.score.interval.value < high
    sentence = found.sentence(pair)
    assert sentence.startswith("the chosen lr=")
    assert "beats" in sentence
    assert "of test macro F1, 95% CI" in sentence
    assert "by a bootstrap over replicates and test examples, by percentiles of 2,000 draws" in str(found)
    assert found.frame().iloc[0]["better"] == "good-wine"
    assert found.frame().iloc[0]["f1_low"] == low
    # The same draws each time.
    assert compare_studies(*studies, replicates=3, log=str).pairs[0].score.interval == pair.score.interval


def test_another_metric_may_be_asked_for_and_a_mean_has_the_interval_of_a_mean(tmp_path: Path) -> None:
    studies = both(tmp_path, {})
    assert compare_studies(*studies, replicates=3, log=str).metric == "accuracy"
    found = compare_studies(*studies, replicates=3, score="brier", log=str)
    cells = [np.stack([np.square(p - np.eye(3)[y]).sum(1) for y, p in on_test_rows(one)]) for one in studies]
    low, high = crossed(cells[0] - cells[1]).interval()
    interval = found.pairs[0].score.interval
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    assert found.frame().iloc[0]["better"] == "good-wine"  # the lower Brier score
    assert "by a t test on the crossed table" in str(found)


def test_r2_of_numbers_and_what_is_refused(tmp_path: Path) -> None:
    studies = both(tmp_path, NUMBERS)
    found = compare_studies(*studies, replicates=3, score="val_r2", log=str)
    assert [found.score(arm).value for arm in found.arms] == pytest.approx(
        [np.mean([sk.r2_score(y, p) for y, p in on_test_rows(one)]) for one in studies]
    )
    assert compare_studies(*studies, replicates=3, score="rmse", log=str).metric == "rmse"
    for score, told in (
        ("val_f1", "score val_f1 is not for regression: val_rmse, val_mae, val_r2, val_mape would work"),
        ("r3", "unknown score 'val_r3': did you mean 'val_r2'"),
    ):
        with pytest.raises(RequestError, match=told):
            compare_studies(*studies, replicates=3, score=score, log=str)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for one in (GOOD, POOR):
        changes = {"trials": 2, "pruner": {"name": "none"}, "set": {"epochs": 6, "hidden": "16", "batch_size": 50}}
        small(tmp_path, storage="s.db", **changes | one | F1).run(observers=())
    words = ["good-wine", "poor-wine", "--storage", f"sqlite:///{tmp_path}/s.db", "--replicates", "2", "--json"]
    assert compare.main([*words, "--tracking-uri", "none", "--score", "val_roc_auc", "--figure", "c.png"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["metric"] == "roc_auc"
    assert {"val_f1", "roc_auc", "roc_auc_low", "roc_auc_high", "loss"} <= set(said["trials"][0])
    assert Path("c.png").stat().st_size > 5_000
