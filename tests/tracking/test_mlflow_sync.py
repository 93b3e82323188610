"""MLflow made equal to the study; read back by MLflow's own client. In this process: no writer is started."""

from __future__ import annotations

import json
import math
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from support.record_studies import Bench

from search.record import curves as record
from search.record.own import TICKET
from search.tracking.live import Live
from search.tracking.sync import StudySync


def test_every_state_is_told_truly_and_a_second_writer_changes_nothing(bench: Bench) -> None:
    trials = [bench.ask() for _ in range(4)]
    bench.tell(trials[0], TrialState.COMPLETE)
    bench.tell(trials[1], TrialState.PRUNED, epochs=17)
    bench.tell(trials[2], TrialState.FAIL)
    bench.sync()
    before = {key: (run.info.run_id, run.data.metrics, run.info.end_time) for key, run in bench.runs().items()}
    for number in (0, 1):
        bench.assert_equal(number)
    assert bench.history(2) == {}
    states = {0: ("FINISHED", "COMPLETE"), 1: ("KILLED", "PRUNED"), 2: ("FAILED", "FAIL")}
    parent = bench.runs()[bench.name]
    for trial in bench.study.get_trials()[:3]:
        run = bench.run(trial.number)
        assert (run.info.status, run.data.tags["optuna.state"]) == states[trial.number]
        assert run.info.start_time == round(trial.datetime_start.timestamp() * 1000)
        assert run.info.end_time == round(trial.datetime_complete.timestamp() * 1000)
        assert run.data.params == {"l2": str(trial.params["l2"])}
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        wanted = {"seed": "7", "device": "cpu", "regsearch.study": bench.name, "regsearch.trial": str(trial.number)}
        assert wanted.items() <= run.data.tags.items()
        assert run.info.run_name.startswith(f"trial-{trial.number} l2=")
    assert f"{bench.name}/3" not in bench.runs()  # in training, and never announced
    bench.sync()
    assert {key: (run.info.run_id, run.data.metrics, run.info.end_time) for key, run in bench.runs().items()} == before
    bench.assert_equal(0)


def test_timestamps_are_the_epochs_own(bench: Bench) -> None:
    trial = bench.ask()
    bench.tell(trial, TrialState.COMPLETE)
    bench.sync()
    end = bench.run(0).info.end_time
    points = bench.history(0)
    assert {step for _, step in points} == set(range(61))
    for (_key, step), (_, timestamp) in points.items():
        assert timestamp == (bench.times[0][step - 1] if step else end)


def test_the_parent_carries_the_recipe_the_counts_and_the_best(bench: Bench) -> None:
    for _ in range(2):
        bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    bench.study.set_user_attr(record.RECIPE, {"seed": 7, "trials": 9, "model": {"hidden": [128, 64]}})
    bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    parent = bench.runs()[bench.name]
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == bench.name
    assert parent.data.params == {"seed": "7", "trials": "4", "model.hidden": "[128, 64]"}
    wanted = {"recipe.changed": "trials=9", "best_trial": "0", "trials.complete": "3", "trials.pruned": "0"}
    assert wanted.items() <= parent.data.tags.items()
    best = bench.client().get_metric_history(parent.info.run_id, "best_value")
    assert [(point.step, point.value) for point in best] == [(2, 0.25)]


def test_of_several_objectives_the_parent_names_the_front(bench: Bench) -> None:
    study = optuna.create_study(study_name="several", storage=bench.storage, directions=["minimize", "maximize"])
    study.set_user_attr(record.RECIPE, {"seed": 7, "objective": ["val_loss", "sparsity"]})
    for ticket, values in enumerate(([0.5, 0.5], [0.75, 0.25], [0.25, 0.0], [1.0, 0.75])):
        trial = study.ask()
        trial.set_user_attr(TICKET, ticket)
        study.tell(trial, values)
    study.tell(study.ask(), state=TrialState.PRUNED)
    assert StudySync("several", bench.storage, bench.uri, "regsearch").go(Live(), ended=True)
    parent = bench.runs()["several"]
    assert parent.data.tags["pareto_front"] == "2, 0, 3"
    assert parent.data.tags["best_trial"] == "2"
    assert parent.data.metrics["best_value"] == 0.25
    assert parent.data.tags["trials.pruned"] == "1"


def test_an_interrupted_trial_is_killed_adopted_and_ends_well_in_one_run(bench: Bench) -> None:
    trial = bench.ask()
    live = bench.live(trial, range(1, 21))
    sync = bench.sync(live, ended=False)
    run = bench.run(0)
    assert (run.info.status, run.data.tags["optuna.state"]) == ("RUNNING", "RUNNING")
    assert bench.runs()[bench.name].info.status == "RUNNING"
    expected = {("val_loss", epoch) for epoch in range(1, 21)}
    assert {key for key in bench.history(0) if key[0] == "val_loss"} == expected
    assert sync.go(live, ended=True)
    cut = bench.run(0)
    assert (cut.info.run_id, cut.info.status, cut.data.tags["optuna.state"]) == (run.info.run_id, "KILLED", "RUNNING")
    bench.times[0] += 5  # trained again, a little later: what is there already is not logged a second time
    sync = bench.sync(live := bench.live(trial, range(11, 41)), ended=False)
    assert bench.run(0).info.status == "RUNNING"
    bench.tell(trial, TrialState.COMPLETE)
    live.take(b'{"event": "told", "trial": 0}')
    assert sync.go(live, ended=False)
    assert (bench.run(0).info.run_id, bench.run(0).info.status) == (run.info.run_id, "FINISHED")
    assert sync.go(live, ended=True)
    bench.assert_equal(0)


def test_trials_that_nobody_tells_of_are_seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = bench.sync(ended=False)
    bench.tell(bench.ask(), TrialState.COMPLETE)
    assert sync.go(Live(), ended=False)
    assert f"{bench.name}/0" not in bench.runs()
    monkeypatch.setattr("search.tracking.sync.LOOK_AGAIN", 0.0)
    assert sync.go(Live(), ended=False)
    bench.assert_equal(0)


def test_a_result_that_is_read_sooner_than_heard_is_not_taken_back(bench: Bench) -> None:
    trial, other = bench.ask(), bench.ask()
    live = bench.live(trial, range(1, 21))
    sync = bench.sync(live, ended=False)
    bench.tell(trial, TrialState.COMPLETE)
    bench.tell(other, TrialState.COMPLETE)
    live.take(b'{"event": "told", "trial": 1}')
    assert sync.go(live, ended=False)
    for line in bench.lines(trial, range(59, 61))[1:]:
        live.take(json.dumps(line).encode())
    assert sync.go(live, ended=False)
    assert bench.run(0).info.status == "FINISHED"
    bench.assert_equal(0)


def test_a_step_for_results_leaves_the_trials_in_training_for_the_next(bench: Bench) -> None:
    training, other = bench.ask(), bench.ask()
    live = bench.live(training, range(1, 11))
    sync = bench.sync(live, ended=False)
    bench.tell(other, TrialState.COMPLETE)
    for line in [*bench.lines(training, range(11, 21))[1:], {"event": "told", "trial": 1}]:
        live.take(json.dumps(line).encode())
    assert sync.go(live, ended=False)
    bench.assert_equal(1)
    assert len([key for key in bench.history(0) if key[0] == "val_loss"]) == 10
    assert sync.go(live, ended=False)
    assert len([key for key in bench.history(0) if key[0] == "val_loss"]) == 20


def test_nan_is_shown_and_infinity_is_left_out(bench: Bench) -> None:
    trial = bench.ask()
    bench.values[0][1, 0, 5] = math.nan
    bench.values[0][1, 0, 6] = math.inf
    bench.tell(trial, TrialState.COMPLETE)
    bench.sync()
    history = bench.history(0)
    assert math.isnan(history[("val_loss", 6)][0])
    assert ("val_loss", 7) not in history
    assert len([key for key in history if key[0] == "val_loss"]) == bench.planned - 1


def test_a_trial_costs_one_call_for_a_thousand_points(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    log_batch, logged = MlflowClient.log_batch, []

    def counting(client: MlflowClient, run_id: str, *rest: object) -> None:
        logged.append(run_id)
        log_batch(client, run_id, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "log_batch", counting)
    bench.sync()
    assert logged.count(bench.run(0).info.run_id) == 1
    bench.assert_equal(0)


@pytest.mark.parametrize("name", ["it's", 'a "b" %', "a/1"])
def test_a_studys_name_may_hold_anything(tmp_path: Path, empty_mlflow: Path, name: str) -> None:
    bench = Bench(tmp_path, empty_mlflow, name=name, planned=2)
    bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    bench.sync()
    bench.assert_equal(0)
    assert bench.runs().keys() == {name, f"{name}/0"}


def test_the_files_beside_the_database(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bench.folder)
    bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    assert {path.name for path in bench.folder.iterdir()} == {"mlflow.db", "mlruns", "optuna.db"}
    files = [path.name for path in (bench.folder / "mlruns").rglob("*") if path.is_file()]
    assert sorted(files) == ["recipe.toml", "trials.csv"]
