"""The estimators: what they predict, what they take, and what they leave behind."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, make_regression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.estimators import SMALL, X, Y

import regsearch
from search import MLPSearchClassifier, MLPSearchRegressor, Study, load

NAMES = np.array(["setosa", "versicolor", "virginica"])


def homes(rows: int = 120) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Return a table whose target follows from its text and dates, with missing cells of every type."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "kind": rng.choice(["flat", "house", "barn"], rows),
            "built": pd.Timestamp("2001-01-01") + pd.to_timedelta(rng.integers(0, 9000, rows), unit="D"),
            "garden": pd.array(rng.random(rows) < 0.5, dtype="boolean"),
            "grade": pd.Categorical(rng.choice(["A", "B"], rows)),
        },
        index=rng.permutation(rows),
    )
    effects = frame["kind"].map({"flat": 0.0, "house": 3.0, "barn": -3.0})
    price = frame["size"] + effects + 2 * (frame["grade"] == "A")
    for number, name in enumerate(frame.columns):
        frame.loc[frame.index[number : number + 4], name] = None
    return frame, price.rename("price")


@pytest.mark.parametrize("refit", [False, True])
def test_it_predicts_what_the_network_of_the_same_study_does(tmp_path: Path, refit: bool) -> None:
    frame, price = homes()
    fitted = MLPSearchRegressor(refit=refit, **SMALL).fit(frame, price)
    study = Study(
        "l2",
        data=(frame, price),
        test=0,
        val=0.2,
        trials=2,
        set={"epochs": 10, "hidden": "16", "lr": 0.01, "batch_size": 32},
        storage=f"sqlite:///{tmp_path}/optuna.db",
        tracking_uri=None,
        device="cpu",
    ).run(observers=[])
    study.export(tmp_path / "own.safetensors", refit=refit)
    theirs = load(tmp_path / "own.safetensors").predict(frame)["prediction"]
    np.testing.assert_allclose(fitted.predict(frame), theirs, rtol=1e-4, atol=1e-5)
    assert study.best is not None
    assert fitted.best_params_ == study.best.params
    assert fitted.best_score_ == pytest.approx(-study.best.values[0])


def test_text_dates_and_missing_cells_are_learned_from() -> None:
    frame, price = homes(300)
    half = len(frame) // 2
    arguments = {**SMALL, "epochs": 60}
    with_text = MLPSearchRegressor(**arguments).fit(frame[:half], price[:half])
    without = MLPSearchRegressor(**arguments).fit(frame[["size"]][:half], price[:half])
    assert with_text.score(frame[half:], price[half:]) > 0.8 > 0.4 > without.score(frame[["size"]][half:], price[half:])
    unseen = frame[half:].assign(kind="castle")
    assert np.isfinite(with_text.predict(unseen)).all()


def test_probabilities_are_in_the_order_of_the_classes() -> None:
    # Of these numbers as text, 100 comes before 20.
    labels = np.array([100, 20, 3])[Y]
    fitted = MLPSearchClassifier(**{**SMALL, "epochs": 40}).fit(X, labels)
    assert fitted.classes_.tolist() == [3, 20, 100]
    shares = fitted.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (fitted.classes_[shares.argmax(axis=1)] == fitted.predict(X)).all()
    assert fitted.score(X, labels) > 0.9
    assert fitted.model_.model.meta.classes == ("3", "20", "100")


@pytest.mark.parametrize("labels", [NAMES, np.array(["NA", "2020-01-01", ""]), np.array([False, True, True])])
def test_labels_of_any_type_are_classes(labels: Any) -> None:
    fitted = MLPSearchClassifier(**SMALL).fit(X, labels[Y])
    assert fitted.classes_.tolist() == sorted(set(labels.tolist()))
    assert set(fitted.predict(X)) <= set(labels.tolist())


def test_rows_of_weight_0_are_as_good_as_absent() -> None:
    weights = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1.0 + (np.arange(len(X)) % 2))
    kept = weights > 0
    all_rows = MLPSearchClassifier(**SMALL).fit(X, Y, sample_weight=weights)
    fewer = MLPSearchClassifier(**SMALL).fit(X[kept], Y[kept], sample_weight=weights[kept])
    np.testing.assert_array_equal(all_rows.predict_proba(X), fewer.predict_proba(X))
    unweighted = MLPSearchClassifier(**SMALL).fit(X[kept], Y[kept])
    assert not np.allclose(fewer.predict_proba(X), unweighted.predict_proba(X))


def test_weights_draw_the_predictions_to_the_heavy_rows() -> None:
    # Both rows at each x have other targets, so the best prediction is their weighted mean.
    x = np.repeat(np.linspace(-1, 1, 100), 2)[:, None]
    y, weights = np.tile([0.0, 1.0], 100), np.tile([1.0, 3.0], 100)
    arguments = {**SMALL, "epochs": 60}
    assert MLPSearchRegressor(**arguments).fit(x, y, weights).predict(x).mean() == pytest.approx(0.75, abs=0.1)
    assert MLPSearchRegressor(**arguments).fit(x, y).predict(x).mean() == pytest.approx(0.5, abs=0.1)


def test_groups_stay_together() -> None:
    groups = np.repeat([f"group {number}" for number in range(30)], 5)
    fitted = MLPSearchClassifier(**SMALL).fit(X, Y, groups=groups)
    assert any("30 groups" in note for note in fitted.notes_)
    with pytest.raises(ValueError, match="groups is missing in row 3"):
        fitted.fit(X, Y, groups=[1, 2, None, *range(147)])


def test_notes_name_the_classes() -> None:
    labels = np.where(np.arange(len(X)) < 15, "rare", "common")
    assert any("'rare' has 15 rows" in note for note in MLPSearchClassifier(**SMALL).fit(X, labels).notes_)


def test_several_targets() -> None:
    x, y = make_regression(100, 5, n_targets=2, random_state=0)
    fitted = MLPSearchRegressor(**{**SMALL, "epochs": 60}).fit(x, y)
    assert fitted.predict(x).shape == (100, 2)
    assert fitted.score(x, y) > 0.5


@pytest.mark.parametrize("refit", [False, True])
def test_an_ensemble_is_chosen_from_the_best_trials(refit: bool) -> None:
    x, y = load_diabetes(return_X_y=True)
    arguments = {**SMALL, "trials": 4, "pruner": "none", "refit": refit, "set": {"batch_size": 32}}
    arguments["space"] = {"lr": "1e-2:1e-1:log"}
    fitted = MLPSearchRegressor(ensemble=4, **arguments).fit(x, y)
    meta = fitted.model_.model.meta
    assert sum(member.count for member in meta.members) == 4
    assert all((member.refit_epochs is not None) == refit for member in meta.members)
    assert not np.array_equal(fitted.predict(x), MLPSearchRegressor(**arguments).fit(x, y).predict(x))


def test_columns_are_those_of_the_fit() -> None:
    fitted = MLPSearchClassifier(**SMALL).fit(X, Y)
    assert fitted.feature_names_in_.tolist() == list(X.columns)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(X[X.columns[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert (fitted.predict(X.to_numpy()) == fitted.predict(X)).all()
    odd = X.set_axis(["target", " groups", "", "target "], axis=1)
    np.testing.assert_array_equal(MLPSearchClassifier(**SMALL).fit(odd, Y).predict(odd), fitted.predict(X))


def test_it_works_in_pipelines_and_searches() -> None:
    estimator = MLPSearchClassifier(**{**SMALL, "epochs": 20})
    pipeline = make_pipeline(StandardScaler(), estimator).set_output(transform="pandas")
    assert cross_val_score(pipeline, X, Y, cv=2).mean() > 0.8
    recipes = ["l2", ["l2", "dropout"]]
    search = GridSearchCV(estimator, {"recipe": recipes}, cv=2).fit(X, Y)
    assert search.best_params_["recipe"] in recipes
    assert set(search.best_estimator_.best_params_) >= {"l2"}


@pytest.mark.slow
def test_it_works_beside_other_transformers_and_processes() -> None:
    frame, price = homes()
    numbers = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")), remainder="passthrough"
    )
    pipeline = make_pipeline(numbers, MLPSearchRegressor(**{**SMALL, "epochs": 60})).set_output(transform="pandas")
    scores = cross_val_score(pipeline, frame, price, cv=GroupKFold(3), groups=np.arange(120) // 4, n_jobs=2)
    assert scores.mean() > 0.5


@pytest.mark.slow
def test_a_fitted_estimator_is_pickled_into_another_process(tmp_path: Path) -> None:
    frame, price = homes()
    fitted = clone(MLPSearchRegressor(**SMALL)).fit(frame, price)
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps((fitted, frame)))
    assert (tmp_path / "fitted.pickle").stat().st_size < 200_000
    code = (
        "import pickle, sys\n"
        "fitted, frame = pickle.load(open('fitted.pickle', 'rb'))\n"
        "print(*(float(one).hex() for one in fitted.predict(frame)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert [float.fromhex(one) for one in ended.stdout.split()] == fitted.predict(frame).tolist()


def test_a_fit_is_quiet_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("temporary", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "work")
    MLPSearchClassifier(**SMALL).fit(X, Y)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert capfd.readouterr() == ("", "")
    MLPSearchClassifier(verbose=1, **SMALL).fit(X, Y)
    assert "x0" not in (said := capfd.readouterr().err)
    assert "validation rows" in said
    assert "training trial" in said


def test_a_generator_is_drawn_from_and_a_number_is_the_seed() -> None:
    drawn = [MLPSearchClassifier(**{**SMALL, "random_state": np.random.RandomState(3)}).fit(X, Y) for _ in range(2)]
    np.testing.assert_array_equal(drawn[0].predict_proba(X), drawn[1].predict_proba(X))
    other = MLPSearchClassifier(**{**SMALL, "random_state": 1}).fit(X, Y)
    assert not np.array_equal(other.predict_proba(X), drawn[0].predict_proba(X))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "l3"}, "unknown study 'l3'"),
        ({"recipe": ["l2", "l2"]}, "named twice"),
        ({"trials": 0}, "trials"),
        ({"hidden": (16, 0)}, "hidden"),
        ({"objective": "val_f2"}, "unknown objective 'val_f2'"),
        ({"validation_fraction": 0}, r"val takes .* in \(0, 1\), got 0"),
        ({"folds": 1}, "folds must be 0 .* or at least 2, got 1"),
        ({"until": 2}, "until takes a share of the best value between 0 and 1"),
        ({"until": 0.1, "sampler": "grid"}, "until: a grid has as many trials as cells"),
        ({"ensemble": 0}, "ensemble must be >= 1, got 0"),
        ({"sampler": "bayes"}, "sampler"),
        ({"one_of": {"augment": ["none", "mixup"]}}, "unknown technique in one_of.augment 'mixup'"),
        ({"enqueue": [{"l3": 1.0}]}, "l3"),
        ({"enqueue": {"l2": 1.0}, "sampler": "grid"}, "enqueue takes a sampler that draws"),
        ({"constraints": "speed < 3"}, "speed"),
        (
            {"constraints": ["parameters < 2"]},
            r"no trial of l2 meets all constraints: .*\(parameters < 2 is violated",
        ),
        ({"timeout": 1e-9, "epochs": 2000}, "no trial of l2 was completed"),
    ],
)
def test_a_wrong_parameter_is_said_at_fit(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MLPSearchClassifier(**{**SMALL, **changes}).fit(X, Y)


def test_both_packages_export_the_estimators() -> None:
    assert regsearch.MLPSearchClassifier is MLPSearchClassifier
    assert regsearch.MLPSearchRegressor is MLPSearchRegressor
