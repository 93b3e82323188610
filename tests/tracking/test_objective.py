"""MLflow's view of a study that maximises a metric: what is logged first, and in which order its trials are listed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import create_trial
from support.small_studies import SMALL

from search import Study, sync_studies
from search.recipe import Recipe
from search.record import curves as record
from search.tracking.mirror import MlflowMirror
from search.tracking.plan import plan_trial
from search.train.member import Member
from search.train.metrics.objective import BUILT_IN


def test_the_trials_are_listed_by_their_objective_the_highest_first(tmp_path: Path, empty_mlflow: Path) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    uri, storage = f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/study.db"
    changes = {"objective": ["val_mcc"], "trials": 4, "pruner": {"name": "none"}}
    study = Study(Recipe.parse(SMALL | changes, "test"), storage=storage, tracking_uri=None, device="cpu")
    study.run(observers=())
    sync_studies(study.name, storage=storage, tracking_uri=uri)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("regsearch")
    assert experiment is not None
    (view,) = (value for key, value in experiment.tags.items() if key.startswith("mlflow.sharedViewState."))
    state = json.loads(json.loads(view)["state"])
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best_val_mcc`", False)
    assert state["selectedColumns"][0] == "metrics.`best_val_mcc`"
    found = client.search_runs(
        [experiment.experiment_id], state["searchFilter"], order_by=[f"{state['orderByKey']} DESC"]
    )
    values = {trial.number: trial.value for trial in study.optuna_study.trials}
    listed = [values[int(run.data.tags["regsearch.trial"])] for run in found]
    assert listed == sorted(values.values(), reverse=True)
    assert len(set(listed)) > 1
    for run in found:
        assert run.data.metrics["best_val_mcc"] == values[int(run.data.tags["regsearch.trial"])]
    (parent,) = client.search_runs([experiment.experiment_id], "tags.best_trial LIKE '%'")
    assert parent.data.tags["best_trial"] == str(study.best.number if study.best else None)
    assert parent.data.metrics["best_value"] == max(values.values())


@pytest.mark.parametrize(
    ("folds", "values", "best"),
    [
        (0, [[0.25, 0.5], [0.125, 1.0], [0.75, 0.5]], [0.375, 0.375, 0.625]),
        (2, [[0.25, 0.75], [0.75, 1.0], [0.5, 0.625]], [0.5, 0.5, 0.5625]),
    ],
)
def test_the_best_so_far_is_the_same_live_and_in_the_record(
    folds: int, values: list[list[float]], best: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second replicate's highest value belongs to a loss that is not finite. Folds share their best epoch."""
    losses = np.array([[3.0, 5.0], [2.0, np.inf], [1.0, 4.0]])  # epochs x replicates
    link = Mock()
    monkeypatch.setattr("search.tracking.mirror.WriterLink", Mock(return_value=link))
    study = optuna.create_study(direction="maximize")
    recipe = {"objective": ["val_gain"], "data": {"folds": folds}}  # the user's own, known by the study's direction
    study.set_user_attr(record.RECIPE, recipe)
    asked = study.ask()
    asked.set_user_attr("epochs", 3)
    member = Member(0, SimpleNamespace(epochs=3), {}, replicates=2)  # type: ignore[arg-type]
    with MlflowMirror("s", "sqlite://", "sqlite://") as mirror:
        mirror.asked([SimpleNamespace(trial=asked)])  # type: ignore[list-item]
        for epoch in range(3):
            both = {r: {"val_loss": losses[epoch, r], "val_gain": values[epoch][r]} for r in (0, 1)}
            member.add_epoch(both, epoch)
            mirror.epoch([member])
    said = [call.args[3] for call in link.epoch.call_args_list]
    assert [metrics["best_val_gain"][0] for metrics in said] == best
    assert next(iter(said[0])) == "best_val_gain"
    curves = record.Curves(("val_loss", "val_f1"), np.stack([losses.T, np.array(values).T]))
    trial = create_trial(value=0.625, user_attrs={record.CURVES: curves.encode()})
    points = plan_trial("s", trial, {}, {}, replace(BUILT_IN["val_f1"], common=folds > 0)).points()
    assert [point.value for point in points if point.key == "best_val_f1"] == best
    assert points[0].key == "best_val_f1"
