"""What MLflow's page begins with: which metric is first, the saved view of a study, descriptions, names."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial
from support.record_studies import Bench

from search.record import curves as record
from search.tracking.live import Live
from search.tracking.mirror import MlflowMirror
from search.tracking.page import study_view
from search.tracking.plan import plan_trial
from search.train.member import Member


def test_the_objective_is_the_first_metric_of_a_run_live_or_not(bench: Bench) -> None:
    live, trials = Live(), [bench.ask(), bench.ask()]
    for line in bench.lines(trials[0], range(1, 4)):
        live.take(json.dumps(line).encode())
    bench.sync(live, ended=False)
    assert bench.run(0).data.metrics
    for trial in trials:
        bench.tell(trial, TrialState.COMPLETE)
    bench.sync()
    for number in (0, 1):
        assert next(iter(bench.run(number).data.metrics)) == "best_val_loss"
        bench.assert_equal(number)


def test_the_saved_view_lists_the_trials_with_an_objective_the_best_first(bench: Bench) -> None:
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE):
        bench.tell(bench.ask(), state)
    bench.sync()
    view, state = the_view(bench)
    assert view["name"] == bench.name
    assert {"metrics.`best_val_loss`", "metrics.`best_epoch`", "params.`l2`"} <= set(state["selectedColumns"])
    order = [f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"]
    client = bench.client()
    experiment = client.get_experiment_by_name("regsearch")
    found = client.search_runs([experiment.experiment_id], state["searchFilter"], order_by=order)  # type: ignore[union-attr]
    best = {number: bench.values[number][1].min(axis=1).mean() for number in (0, 1, 3)}
    assert [int(run.data.tags["regsearch.trial"]) for run in found] == sorted(best, key=best.__getitem__)
    bench.sync()
    assert the_view(bench) == (view, state)


def the_view(bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only saved view, and what it holds."""
    experiment = bench.client().get_experiment_by_name("regsearch")
    [value] = [value for key, value in experiment.tags.items() if key.startswith("mlflow.sharedViewState.")]  # type: ignore[union-attr]
    view = json.loads(value)
    return view, json.loads(view["state"])


@pytest.mark.parametrize("count", [1, 20, 200])
def test_a_view_is_never_longer_than_mlflow_takes(count: int) -> None:
    view = study_view("s", [f"hyperparameter_{number}" for number in range(count)], ["best_val_loss"], 5)
    assert (view is not None) == (count < 200)
    assert view is None or len(view[1]) <= 5000


def test_descriptions_are_given_once_and_stay_as_somebody_has_changed_them(bench: Bench) -> None:
    note = "mlflow.note.content"
    bench.study.set_user_attr(record.RECIPE, {"title": "How strong?"})
    bench.sync()
    client = bench.client()
    experiment = client.get_experiment_by_name("regsearch")
    assert experiment is not None
    assert "each study is a run" in experiment.tags[note]
    assert bench.runs()[bench.name].data.tags[note] == "How strong?"
    client.set_experiment_tag(experiment.experiment_id, note, "mine")
    client.set_tag(bench.runs()[bench.name].info.run_id, note, "mine too")
    bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    assert client.get_experiment(experiment.experiment_id).tags[note] == "mine"
    assert bench.runs()[bench.name].data.tags[note] == "mine too"


def test_a_run_is_named_after_its_row() -> None:
    trial = create_trial(value=1.0, user_attrs={record.CELL: 1})
    trial.number = 7
    rows = {"settings": [{"name": "plain"}, {"name": "L2 and dropout"}]}
    assert plan_trial("s", trial, rows, {}).name == "trial-7 L2 and dropout"
    assert plan_trial("s", trial, {"settings": []}, {}).name == "trial-7"


def test_the_objective_so_far_is_the_same_live_and_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = np.array([[3.0, 5.0], [math.nan, 4.0], [2.0, math.inf], [2.5, 1.0]])  # epochs x replicates
    link = Mock()
    monkeypatch.setattr("search.tracking.mirror.WriterLink", Mock(return_value=link))
    member = Member(0, SimpleNamespace(epochs=4), {}, replicates=2)  # type: ignore[arg-type]
    member.restore({"val_loss": losses[:2]}, [1, 2], {})  # as from a checkpoint
    with MlflowMirror("s", "sqlite://", "sqlite://") as mirror:
        mirror.epoch([member])
        for epoch in (2, 3):
            member.add_epoch({replicate: {"val_loss": losses[epoch, replicate]} for replicate in (0, 1)}, epoch)
            mirror.epoch([member])
    said = [(epochs[0], metrics) for _, epochs, _, metrics in (call.args for call in link.epoch.call_args_list)]
    sent = {epoch: metrics["best_val_loss"][0] for epoch, metrics in said}
    assert sent == {2: 3.5, 3: 3.0, 4: 1.5}
    assert next(iter(said[0][1])) == "best_val_loss"
    curves = record.Curves(("val_loss",), losses.T[None])
    trial = create_trial(value=1.5, user_attrs={record.CURVES: curves.encode()})
    points = {
        point.step: point.value for point in plan_trial("s", trial, {}, {}).points() if point.key == "best_val_loss"
    }
    assert points == {1: 4.0, **sent}
