"""What a notebook holds: tables, curves, the value of a trial however it ends (contract C8)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from support.small_studies import Quiet, small

from search import Study
from search.errors import RequestError
from search.record.curves import DIVERGED_AT
from search.study import identity
from search.technique import Numeric, Technique


def test_values_are_means_of_replicates_minima_and_tables_agree(tmp_path: Path) -> None:
    study = small(tmp_path, replicates=3).run(observers=[Quiet()])
    curves, trials = study.curves(), study.trials()
    assert len(trials) == 12
    assert set(curves["replicate"]) == {0, 1, 2}
    for row in trials.itertuples():
        mine = curves[curves["trial"] == row.number]
        by_replicate = mine.groupby("replicate")["val_loss"].min().to_numpy(dtype=np.float64)
        assert row.value == pytest.approx(by_replicate.mean(), rel=1e-12)
        last = mine[mine["epoch"] == mine["epoch"].max()]
        assert row.final_val_accuracy == pytest.approx(last["val_accuracy"].mean(), rel=1e-6)
        assert mine["epoch"].max() == (6 if row.state == "complete" else row.epochs_trained)
    best = study.best
    assert best is not None
    assert best.value == trials[trials["state"] == "complete"]["value"].min()


def test_a_pruned_trial_keeps_its_best_so_far_and_was_worse_than_its_peers(tmp_path: Path) -> None:
    study = small(tmp_path).run(observers=[Quiet()])
    curves = study.curves()
    pruned = study.optuna_study.get_trials(states=(TrialState.PRUNED,))
    assert pruned
    for trial in pruned:
        losses = curves[curves["trial"] == trial.number]["val_loss"].to_numpy()
        assert len(losses) == max(trial.intermediate_values)
        assert trial.value == float(losses.min())
        cohort = trial.user_attrs["cohort"]
        rung = len(losses)
        peers = [
            t.intermediate_values[rung]
            for t in study.optuna_study.trials
            if t.user_attrs["cohort"] <= cohort and rung in t.intermediate_values
        ]
        assert sorted(peers).index(trial.value) >= len(peers) // 2


def test_the_user_is_told_where_the_test_split_is_looked_at(tmp_path: Path) -> None:
    (few,) = small(tmp_path).notes()
    assert few.startswith("36 validation rows decide which trial is best")
    _, note = small(tmp_path, watch=["test"]).notes()
    assert "the test split is measured every epoch" in note
    assert small(tmp_path, watch=["weight_means"]).notes() == [few]


def test_what_is_watched_and_who_validates_belong_to_a_studys_identity(tmp_path: Path) -> None:
    _ = small(tmp_path).optuna_study
    with pytest.raises(RequestError, match="differs in watch: none there, weight_means here"):
        _ = small(tmp_path, watch=["weight_means"]).optuna_study
    found = small(tmp_path)
    recipe = found.recipe.but("test", data={"validation": "test"})
    fields = identity.describe(recipe, found.space, found.data, found.loss)
    noted = identity.describe(found.recipe, found.space, found.data, found.loss)
    # A study that was noted before there was a choice is still the same one.
    assert "validation" not in noted
    assert fields == noted | {"validation": "test"}


# A learning rate of 1e30 is not finite from the first step on; one that explodes at epoch 4 has had finite losses.
_LATE = Technique(
    name="late",
    hyperparameters={"late": Numeric(low=0.0, high=1.0)},
    rate=lambda step, steps, values: 1.0 + values["late"] * 1e30 * (step >= 3 * steps),
)


def test_divergence_is_told_as_what_it_was(tmp_path: Path) -> None:
    study = Study(
        small(tmp_path).recipe.but(
            "test",
            space={"late": {"choices": [0.0, 1.0]}, "lr": {"choices": [1e-3, 1e30]}},
            set={"l2": 0.0},
            sampler="grid",
            pruner={"name": "none"},
        ),
        techniques=[_LATE],
        storage=f"sqlite:///{tmp_path}/late.db",
        tracking_uri=None,
    ).run(observers=[Quiet()])
    by_cell = {(t.params["lr"], t.params["late"]): t for t in study.optuna_study.trials}
    fine, late, never = by_cell[1e-3, 0.0], by_cell[1e-3, 1.0], by_cell[1e30, 0.0]
    assert fine.state == TrialState.COMPLETE
    assert DIVERGED_AT not in fine.user_attrs
    assert late.state == TrialState.COMPLETE
    assert late.user_attrs[DIVERGED_AT] == 4
    curves = study.curves()
    of = {t.number: curves[curves["trial"] == t.number] for t in (fine, late, never)}
    assert late.value == float(of[late.number]["val_loss"][:3].min())
    assert np.array_equal(of[late.number]["val_loss"][:3], of[fine.number]["val_loss"][:3])
    assert len(of[late.number]) == 4
    assert never.state == TrialState.PRUNED
    assert never.value is None
    assert never.constraints == {"diverged": 1.0}
    assert never.user_attrs[DIVERGED_AT] == 1
    assert study.best is not None
    assert study.best.number == fine.number


def test_regression_tells_the_users_units(tmp_path: Path) -> None:
    study = small(tmp_path, data={"dataset": "diabetes"}, trials=2, loss="huber").run(observers=[Quiet()])
    curves = study.curves()
    assert study.data.targets is not None
    assert curves["val_rmse"].min() > 20  # disease progression runs from 25 to 346
    standard = curves["val_rmse"] / float(study.data.targets.scale[0])
    assert ((standard > 0.3) & (standard < 2)).all()


def test_a_study_of_another_recipe_is_refused_and_named(tmp_path: Path) -> None:
    small(tmp_path).run(2, observers=[Quiet()])
    with pytest.raises(RequestError, match=r"differs in .*seed: 0 there, 5 here"):
        _ = small(tmp_path, seed=5).optuna_study
    assert len(small(tmp_path, trials=99).optuna_study.trials) == 2  # the budget is no part of its identity


def test_a_study_that_regsearch_did_not_make_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    other = optuna.create_study(storage=url, study_name="small-wine")
    other.tell(other.ask(), 1.0)
    with pytest.raises(RequestError, match="not made by regsearch"):
        small(tmp_path).run(observers=[Quiet()])
    assert len(optuna.load_study(study_name="small-wine", storage=url).trials) == 1


def test_epochs_batch_size_and_width_can_be_searched(tmp_path: Path) -> None:
    study = small(
        tmp_path,
        set={},
        space={
            "epochs": {"choices": [3, 6]},
            "hidden": {"choices": ["0", "16", "8x8"]},
            "batch_size": {"low": 16, "high": 64, "log": True},
            "optimizer": {"choices": ["sgd", "adam"]},
            "momentum": {"low": 0.0, "high": 0.9},
            "l2": {"low": 1e-6, "high": 1e-1, "log": True},
        },
    ).run(observers=[Quiet()])
    for trial in study.optuna_study.trials:
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")
        if trial.state == TrialState.COMPLETE:
            assert trial.user_attrs["summary"]["epochs_trained"] == trial.params["epochs"]


def test_another_study_of_the_name_names_the_remedy(tmp_path: Path) -> None:
    """From Python, beside the fields that differ."""
    _ = small(tmp_path).optuna_study
    with pytest.raises(identity.Mismatch, match="differs in seed: 0 there, 1 here") as raised:
        _ = small(tmp_path, seed=1).optuna_study
    assert "study_name=" in " ".join(raised.value.__notes__)
