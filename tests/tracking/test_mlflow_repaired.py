"""What is missing, cut short or contradictory in MLflow is made equal to the study; what MLflow refuses comes last."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from optuna.trial import TrialState
from support.record_studies import Bench

from search.record import curves as record
from search.tracking.live import Live
from search.tracking.sync import StudySync
from search.tracking.view import RECORD_TAG


def test_of_two_runs_of_one_trial_one_is_left(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    kept, parent = bench.run(0), bench.runs()[bench.name]
    for run in (kept, parent):
        bench.client().create_run(run.info.experiment_id, start_time=run.info.start_time + 1, tags=run.data.tags)
    bench.sync()
    assert (bench.run(0).info.run_id, bench.runs()[bench.name].info.run_id) == (kept.info.run_id, parent.info.run_id)
    bench.assert_equal(0)


@pytest.mark.parametrize("otherwise", ["another value", "a later epoch"])
def test_a_run_that_contradicts_the_record_is_made_anew(bench: Bench, otherwise: str) -> None:
    trial = bench.ask()
    bench.sync(bench.live(trial, range(1, 21)), ended=False)
    old = bench.run(0).info.run_id
    if otherwise == "another value":
        bench.values[0][1, :, 3] += 0.01
    bench.tell(trial, TrialState.PRUNED, epochs=10 if otherwise == "a later epoch" else 30)
    bench.sync()
    assert bench.run(0).info.run_id != old
    bench.assert_equal(0)


def test_deleted_runs_and_experiments_do_not_matter(bench: Bench) -> None:
    bench.tell(bench.ask(), TrialState.COMPLETE)
    bench.sync()
    client = bench.client()
    client.delete_run(bench.run(0).info.run_id)
    client.delete_experiment(bench.runs()[bench.name].info.experiment_id)
    bench.sync()
    bench.assert_equal(0)


def test_an_unreadable_record_does_not_keep_the_others_from_mlflow(bench: Bench) -> None:
    broken, sound = bench.ask(), bench.ask()
    broken.set_user_attr(record.CURVES, {"metrics": ["a"], "shape": [1, 1, 1], "data": "?"})
    bench.study.tell(broken, 1.0)
    bench.tell(sound, TrialState.COMPLETE)
    sync = bench.sync()
    assert "trial 0" in sync.unreadable[0]
    bench.assert_equal(1)


def test_one_trial_that_mlflow_refuses_comes_last(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        bench.tell(bench.ask(), TrialState.COMPLETE)
    from search.tracking.view import MlflowView

    reconcile = MlflowView.reconcile

    def refusing(view: MlflowView, plan: object) -> bool:
        if plan.number == 0:  # type: ignore[attr-defined]
            raise MlflowException("refused")
        return reconcile(view, plan)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowView, "reconcile", refusing)
    sync = StudySync(bench.name, bench.storage, bench.uri, "regsearch")
    for _ in range(2):
        with pytest.raises(MlflowException):
            sync.go(Live(), ended=True)
        progressed = sync.progressed
        sync.forget()
    assert progressed
    assert {f"{bench.name}/1", f"{bench.name}/2"} <= bench.runs().keys()


@pytest.mark.parametrize("call", ["log_batch", "set_terminated"])
def test_a_run_cut_short_is_never_taken_for_complete(
    tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    bench = Bench(tmp_path, empty_mlflow, planned=300)
    bench.tell(bench.ask(), TrialState.COMPLETE)
    log_batch, logged = MlflowClient.log_batch, []

    def cut(client: MlflowClient, run_id: str, *rest: object) -> None:
        if call == "set_terminated" or logged:
            raise MlflowException("cut short")
        logged.append(run_id)
        log_batch(client, run_id, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, cut)
        with pytest.raises(MlflowException):
            StudySync(bench.name, bench.storage, bench.uri, "regsearch").go(Live(), ended=True)
    partial = bench.run(0)
    assert partial.info.status == "RUNNING"
    assert (RECORD_TAG in partial.data.tags) == (call == "set_terminated")
    bench.sync()
    assert (bench.run(0).info.run_id, bench.run(0).info.status) == (partial.info.run_id, "FINISHED")
    bench.assert_equal(0)


def test_a_killed_run_whose_end_was_not_corrected_is_never_taken_for_complete(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow has one status, KILLED, for a pruned trial and for one that was interrupted before."""
    trial = bench.ask()
    bench.sync(bench.live(trial, range(1, 11)))
    assert bench.run(0).info.status == "KILLED"
    bench.tell(trial, TrialState.PRUNED, epochs=17)

    def cut(*_: object) -> None:
        raise MlflowException("cut short")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", cut)
        with pytest.raises(MlflowException):
            StudySync(bench.name, bench.storage, bench.uri, "regsearch").go(Live(), ended=True)
    assert RECORD_TAG in bench.run(0).data.tags
    bench.sync()
    bench.assert_equal(0)
    true = bench.study.get_trials()[0].datetime_complete
    assert bench.run(0).info.end_time == round(true.timestamp() * 1000)
