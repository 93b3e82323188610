"""The estimators' searches: what is searched, which trials come first, and the table of trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from support.estimators import SMALL, X, Y

from search import MLPSearchClassifier
from search.record.curves import CURVES, Curves


def test_a_space_may_be_words_values_or_tables() -> None:
    space = {"lr": "1e-3:1e-1:log", "hidden": ["8", "16"], "l2": {"low": 1e-4, "high": 1e-3}}
    arguments = {**SMALL, "hidden": None, "set": {"batch_size": 32}, "space": space}
    params = MLPSearchClassifier(**arguments).fit(X, Y).best_params_
    assert params["hidden"] in ("8", "16")
    assert 1e-3 <= params["lr"] <= 1e-1
    assert 1e-4 <= params["l2"] <= 1e-3


def test_each_trial_uses_one_technique_of_a_group() -> None:
    arguments = {**SMALL, "epochs": 2, "trials": 12, "sampler": "random", "pruner": "none"}
    group = {"augment": ("none", "mixup", "cutmix")}
    fitted = MLPSearchClassifier(["mixup", "cutmix"], one_of=group, **arguments).fit(X, Y)
    assert set(fitted.cv_results_["param_augment"]) == {"none", "mixup", "cutmix"}
    for params in fitted.cv_results_["params"]:
        used = params["augment"]
        assert {name for name in ("mixup", "cutmix") if name in params} == ({used} - {"none"})


@pytest.mark.parametrize("several", [False, True])
def test_enqueued_trials_come_first(several: bool) -> None:
    first = {"l2": np.float32(0.25), "hidden": np.int64(8)}
    listed = [first, {"l2": 1e-3, "hidden": 16}] if several else first
    arguments = {**SMALL, "hidden": None, "trials": 3, "pruner": "none", "set": {"lr": 0.01, "batch_size": 32}}
    space = {"l2": "1e-4:1.0:log", "hidden": ["8", "16"]}
    params = MLPSearchClassifier(enqueue=listed, space=space, **arguments).fit(X, Y).cv_results_["params"]
    assert params[0] == {"l2": 0.25, "hidden": "8"}
    assert (params[1] == {"l2": 1e-3, "hidden": "16"}) == several
    assert len(params) == 3


def test_a_search_ends_where_nothing_is_left_to_gain() -> None:
    """So little L2 changes next to nothing: the bound is small once it is known, after the first cohort of 16."""
    arguments = {**SMALL, "epochs": 2, "trials": 24, "pruner": "none", "until": "50%", "space": {"l2": "1e-6:1e-4:log"}}
    assert len(MLPSearchClassifier(**arguments).fit(X, Y).cv_results_["params"]) == 16


def test_the_best_trial_meets_the_constraints() -> None:
    arguments = {**SMALL, "hidden": None, "trials": 4, "sampler": "grid", "pruner": "none", "set": {"lr": 0.01}}
    arguments |= {"recipe": "baseline", "space": {"hidden": ["0", "4", "32", "64"]}}
    free = MLPSearchClassifier(**arguments).fit(X, Y)
    assert "violates" not in free.cv_results_
    bound = MLPSearchClassifier(constraints="parameters < 100", **arguments).fit(X, Y)
    table = pd.DataFrame(bound.cv_results_)
    # Four inputs and three classes.
    sizes = {"0": 4 * 3 + 3, "4": 4 * 5 + 5 * 3 - 1, "32": 32 * 5 + 33 * 3, "64": 64 * 5 + 65 * 3}
    for hidden, violates in zip(table["param_hidden"], table["violates"], strict=True):
        assert bool(violates) == (sizes[hidden] >= 100)
    small = table[table["violates"] == ""]
    assert bound.best_score_ == small["mean_test_score"].max()
    assert bound.best_params_["hidden"] in ("0", "4")
    assert bound.predict(X).shape == Y.shape


def test_the_trials_are_a_table_as_those_of_a_grid_search(tmp_path: Path) -> None:
    arguments = {**SMALL, "trials": 4, "folds": 3, "storage": f"sqlite:///{tmp_path}/optuna.db"}
    fitted = MLPSearchClassifier(objective="val_accuracy", **arguments).fit(X, Y)
    table = pd.DataFrame(fitted.cv_results_)
    splits = table[["split0_test_score", "split1_test_score", "split2_test_score"]]
    np.testing.assert_allclose(splits.mean(axis=1), table["mean_test_score"])
    np.testing.assert_allclose(splits.std(axis=1, ddof=0), table["std_test_score"], atol=1e-12)
    assert table["rank_test_score"][fitted.best_index_] == 1
    assert fitted.best_score_ == table["mean_test_score"].max()
    assert table["params"][fitted.best_index_] == fitted.best_params_
    assert table["param_l2"].tolist() == [params["l2"] for params in table["params"]]
    names = optuna.get_all_study_names(arguments["storage"])
    (study,) = (optuna.load_study(study_name=name, storage=arguments["storage"]) for name in names)
    for row, trial in zip(splits.to_numpy(), study.trials, strict=True):
        curves = Curves.decode(trial.user_attrs[CURVES]).of("val_accuracy")
        if trial.state == TrialState.COMPLETE:
            np.testing.assert_allclose(row, curves[:, curves.mean(axis=0).argmax()])
    again = MLPSearchClassifier(objective="val_accuracy", **arguments).fit(X, Y)
    pd.testing.assert_frame_equal(pd.DataFrame(again.cv_results_), table)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    other = MLPSearchClassifier(objective="val_accuracy", **arguments).fit(X[:140], Y[:140])
    assert len(other.cv_results_["params"]) == 4


def test_a_pruned_trial_has_no_score() -> None:
    arguments = {**SMALL, "trials": 9, "epochs": 12, "pruner": {"name": "halving", "min_epochs": 1}}
    arguments["set"] = {"batch_size": 32}
    fitted = MLPSearchClassifier(**arguments, space={"lr": "1e-4:1e-1:log"}).fit(X, Y)
    table = pd.DataFrame(fitted.cv_results_)
    assert set(table["state"]) == {"complete", "pruned"}
    assert (table["mean_test_score"].isna() == (table["state"] == "pruned")).all()
    assert (table.loc[table["state"] == "pruned", "rank_test_score"] > (table["state"] == "complete").sum()).all()
