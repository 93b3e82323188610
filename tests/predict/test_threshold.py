"""The threshold is the best one by scikit-learn's metrics, is stored with the model, and decides every prediction."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, matthews_corrcoef
from support.small_studies import Quiet, small

import search
from search import RequestError, Study
from search.export import __main__ as export
from search.predict import __main__ as predict
from search.predict import threshold
from search.train.metrics.built_in import METRICS
from search.train.metrics.decided import DECIDED, decided_metric
from search.train.model_file import load

STORED = ["--storage", "sqlite:///study.db", "--device", "cpu"]
Floats = NDArray[np.float64]
Score = Callable[..., float]
SCORES: dict[str, Score] = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "f1": lambda *args, **weights: f1_score(*args, **weights, average="macro"),
    "mcc": matthews_corrcoef,
}


def best(name: str, y: Any, p: Any, weights: Any = None) -> tuple[float, float, float]:
    weighed = None if weights is None else torch.tensor(weights)
    return threshold.best(METRICS[f"val_{name}"], torch.tensor(y), torch.tensor(p, dtype=torch.float64), weighed)


def test_scikit_learn_has_every_metric() -> None:
    assert SCORES.keys() == set(DECIDED)


@pytest.mark.parametrize("name", DECIDED)
@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(1, 5)), max_size=12),
    weighed=st.booleans(),
)
def test_it_is_the_best_of_all_by_scikit_learn(name: str, rows: list[tuple[int, int, int]], weighed: bool) -> None:
    # Steps of 1/8 have many ties, and 0, 1/2 and 1.
    y, eighths, w = (np.array(column) for column in zip((0, 3, 1), (1, 6, 1), *rows, strict=True))
    p, weights = eighths / 8, w / 3 if weighed else None

    def scored(t: float) -> float:
        return SCORES[name](y, (p > t).astype(int), sample_weight=weights)

    ends = sorted({0.0, *p, 1.0})
    middles = [0.5, *((low + high) / 2 for low, high in pairwise(ends))]
    scores = [scored(t) for t in middles]
    nearest = min(
        (t for t, one in zip(middles, scores, strict=True) if one > max(scores) - 1e-9),
        key=lambda t: (abs(t - 0.5), t),
    )
    assert best(name, y, p, weights) == pytest.approx((nearest, scored(nearest), scores[0]), abs=1e-9)
    # The grid has a threshold in each gap, so nothing else decides better.
    assert max(scores) == pytest.approx(max(scored(t) for t in (np.arange(8) + 0.5) / 8), abs=1e-9)


@pytest.mark.parametrize(
    ("y", "p", "value", "score"),
    [
        ([0, 1, 0, 1], [0.6, 0.7, 0.8, 0.9], 0.65, 0.75),  # as good as 0.85
        ([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], 0.35, 0.75),  # as good as 0.15
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.5, 1.0),  # as good as the middle of 0.2 and 0.6
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.9], 0.25, 1.0),
        ([1, 1, 1, 0], [0.2, 0.2, 0.2, 0.2], 0.1, 0.75),  # below all probabilities, where every row is of class 1
        ([0, 0, 0, 1], [0.8, 0.8, 0.8, 0.8], 0.9, 0.75),
    ],
)
def test_of_equally_good_thresholds_the_nearest_to_one_half_is_taken(
    y: list[int], p: list[float], value: float, score: float
) -> None:
    found = best("accuracy", y, p)
    assert found[:2] == (pytest.approx(value), pytest.approx(score))
    # The order of the rows does not matter.
    assert best("accuracy", y[::-1], p[::-1]) == found


@pytest.fixture
def ill(in_an_empty_folder: Path) -> pd.DataFrame:
    """Write a table to ill.csv in which one class is rare, with weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    sick = rng.random(300) < 1 / (1 + np.exp(2 - x @ [1.5, -1.0]))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "w": rng.integers(1, 5, 300), "ill": np.where(sick, "yes", "no")})
    table.to_csv(in_an_empty_folder / "ill.csv", index=False)
    return table


def study_of(dataset: str = "ill.csv", *, run: bool = True, **data: Any) -> Study:
    chosen = {"dataset": dataset} | ({"target": "ill"} if dataset == "ill.csv" else {}) | data
    short = {"epochs": 4, "hidden": "8", "batch_size": 20}
    study = small(Path(), trials=2, ask_batch=2, data=chosen, set=short, pruner={"name": "none"})
    return study.run(observers=[Quiet()], decide=False) if run else study


def validation(study: Study) -> tuple[torch.Tensor, NDArray[np.int64], Floats | None]:
    """The raw validation rows, their classes and their weights."""
    data = study.data
    weights = None if data.w_val is None else data.w_val.double().numpy()
    return data.inputs.invert(data.x_val), data.y_val.numpy(), weights


@pytest.mark.usefixtures("ill")
@pytest.mark.parametrize("options", [{}, {"calibrate": True}, {"ensemble": 3}, {"ensemble": 2, "calibrate": True}])
def test_a_threshold_is_of_the_probabilities_that_the_file_predicts(options: dict[str, Any]) -> None:
    study = study_of(weights="w")
    exported = study.export("model.safetensors", threshold="val_mcc", **options)
    model = load("model.safetensors")
    rows, y, weights = validation(study)
    p, chosen = model.predict(rows)[:, 1].double().numpy(), model.meta.threshold
    assert chosen is not None

    def scored(t: float) -> float:
        return float(matthews_corrcoef(y, p > t, sample_weight=weights))

    assert chosen.metric == "val_mcc"
    assert chosen.value != 0.5
    assert scored(chosen.value) == pytest.approx(chosen.score, abs=1e-9)
    assert scored(0.5) == pytest.approx(chosen.score_at_half, abs=1e-9)
    assert chosen.score == pytest.approx(max(scored(t) for t in [0.5, *(np.unique(p)[1:] + np.unique(p)[:-1]) / 2]))
    assert (chosen.rows, chosen.second) == (len(y), int((p > chosen.value).sum()))
    assert f"where its probability is above {chosen.value:.4g}" in exported.notes[-1]
    assert f"{chosen.score_at_half:.4g} at 0.5, {chosen.score:.4g} at {chosen.value:.4g}" in exported.notes[-1]
    assert json.loads(Path("model.json").read_text())["threshold"]["value"] == chosen.value


def test_the_file_decides_by_it_in_a_fresh_process(ill: pd.DataFrame) -> None:
    study = study_of()
    study.export("plain.safetensors")
    study.export("model.safetensors", threshold="f1")
    code = "import search; search.load('model.safetensors').predict('ill.csv').to_csv('predicted.csv', index=False)"
    subprocess.run([sys.executable, "-c", code], check=True)
    found = pd.read_csv("predicted.csv")
    chosen = load("model.safetensors").meta.threshold
    assert chosen is not None
    expected = np.where(found["probability_yes"] > chosen.value, "yes", "no")
    assert list(found["prediction"]) == list(expected)
    plain = search.load("plain.safetensors").predict(ill)
    np.testing.assert_allclose(found["probability_yes"], plain["probability_yes"], rtol=1e-6)
    assert (found["prediction"] != plain["prediction"]).any()
    # A study predicts the same, and says how it decides.
    own = study.predict(ill, threshold="f1")
    assert list(own["prediction"]) == list(expected)
    assert any(f"above {chosen.value:.4g}, chosen for the macro F1 of" in note for note in own.attrs["notes"])
    assert predict.main([study.name, "ill.csv", "--output", "own.csv", "--threshold", "val_f1", *STORED]) == 0
    assert list(pd.read_csv("own.csv")["prediction"]) == list(expected)


@pytest.mark.usefixtures("ill")
@pytest.mark.parametrize("file", ["model.safetensors", "model.onnx"])
@pytest.mark.parametrize("ensemble", [None, 2])
def test_the_printed_lines_decide_by_it(file: str, ensemble: int | None) -> None:
    study = study_of()
    exported = study.export(file, threshold="f1", ensemble=ensemble)
    rows, _, _ = validation(study)
    space: dict[str, Any] = {"rows": rows if file.endswith(".safetensors") else rows.numpy()}
    exec("\n".join(exported.lines), space)
    chosen = exported.model.meta.threshold
    assert chosen is not None
    expected = (exported.model.predict(rows)[:, 1].double() > chosen.value).long()
    assert expected.unique().tolist() == [0, 1]  # type: ignore[no-untyped-call]
    assert list(space["decided"]) == expected.tolist()
    assert exported.notes[-1].startswith("the graph returns probabilities") == file.endswith(".onnx")


@pytest.mark.usefixtures("ill")
def test_a_refit_keeps_the_threshold_of_the_network_before_it() -> None:
    study = study_of()
    before = study.export("before.safetensors", threshold="f1").model.meta.threshold
    exported = study.export("model.safetensors", threshold="f1", refit=True)
    chosen = load("model.safetensors").meta.threshold
    assert before is not None
    assert chosen == before.model_copy(update={"before_refit": True})
    assert "by the network before the refit" in exported.notes[-1]


@pytest.mark.usefixtures("ill")
def test_a_cross_validation_chooses_on_its_first_fold() -> None:
    study = study_of(folds=3)
    chosen = study.export("model.safetensors", threshold="accuracy").model.meta.threshold
    assert chosen is not None
    rows, y, _ = validation(study)
    decided = search.load("model.safetensors").model.predict(rows)[:, 1].double().numpy() > chosen.value
    assert chosen.score == pytest.approx(accuracy_score(y, decided))


@pytest.mark.usefixtures("ill")
@pytest.mark.parametrize(
    ("dataset", "metric", "told"),
    [
        ("wine", "f1", "threshold decides between two classes, but wine has 3"),
        ("diabetes", "f1", "threshold decides between two classes, but diabetes is a regression"),
        (
            "ill.csv",
            "roc_auc",
            "threshold takes a metric that a threshold changes, which roc_auc is not: give accuracy,",
        ),
        ("ill.csv", "val_loss", "which val_loss is not"),
        ("ill.csv", "sparsity", "which sparsity is not"),
        ("ill.csv", "f2", "unknown metric of threshold 'f2': did you mean 'f1'?"),
    ],
)
def test_what_has_no_threshold_is_refused_before_training(dataset: str, metric: str, told: str) -> None:
    study = study_of(dataset, run=False)  # without a trial that could be trained again
    with pytest.raises(RequestError, match=told):
        study.export("model.safetensors", threshold=metric)
    with pytest.raises(RequestError, match=told):
        study.predictor(threshold=metric)


@pytest.mark.usefixtures("ill")
def test_rows_of_one_class_have_no_threshold() -> None:
    data = study_of(run=False).data
    with pytest.raises(RequestError, match="all are of class 'yes': run a study with another --val"):
        threshold.validate("f1", replace(data, y_val=torch.ones_like(data.y_val)))
    weights = (data.y_val == 0).float()
    with pytest.raises(RequestError, match="all with a weight above 0 are of class 'no'"):
        threshold.validate("f1", replace(data, w_val=weights))
    threshold.validate("f1", data)


@pytest.mark.usefixtures("ill")
def test_a_threshold_that_takes_all_rows_for_one_class_is_told() -> None:
    study_of().export("model.safetensors", threshold="f1")
    model = load("model.safetensors")
    assert model.meta.threshold is not None
    assert "every row" not in threshold.statement(model)
    for second, name in ((0, "no"), (model.meta.threshold.rows, "yes")):
        chosen = model.meta.threshold.model_copy(update={"second": second})
        told = threshold.statement(replace(model, meta=model.meta.model_copy(update={"threshold": chosen})))
        assert f", so that every row is {name!r}: choose it for another metric" in told


@pytest.mark.usefixtures("ill")
def test_the_command_lines(capsys: pytest.CaptureFixture[str]) -> None:
    study = study_of()
    assert export.main([study.name, "--threshold", "balanced_accuracy", "--json", *STORED]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["threshold"]["metric"] == decided_metric("balanced_accuracy").name
    assert predict.main(["model.safetensors", "ill.csv", "--threshold", "f1", *STORED]) == 2
    assert "the model file model.safetensors does not hold: export it again with" in capsys.readouterr().err
    assert predict.main(["ill.csv", study.name, *STORED]) == 2
    assert "'ill.csv' is a file where the name of a study is expected: the study comes first" in capsys.readouterr().err
    for command in (export.main, predict.main):
        rows = ["ill.csv"] if command is predict.main else []
        assert command([study.name, *rows, "--threshold", "brier", *STORED]) == 2
        assert "which brier is not" in capsys.readouterr().err
