"""Compare what MLflow holds with the study."""

from __future__ import annotations

import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from search.record.curves import SUMMARY

STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}


def runs(uri: str) -> dict[str, Run]:
    """Return every run of the experiment by its key, and assert that no two runs share a key."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("regsearch")
    assert experiment is not None
    listed = client.search_runs([experiment.experiment_id], max_results=1000)
    found = {run.data.tags["regsearch.key"]: run for run in listed}
    assert len(found) == len(listed)
    return found


def assert_equal(study: optuna.Study, found: dict[str, Run], client: MlflowClient) -> None:
    """Assert that each trial has one run, with the trial's state and summary, and with each epoch once."""
    assert len(found) == 1 + len(study.trials)
    for trial in study.trials:
        run = found[f"{study.study_name}/{trial.number}"]
        assert run.info.status == STATUS[trial.state]
        assert run.data.tags["mlflow.parentRunId"] == found[study.study_name].info.run_id
        summary = trial.user_attrs[SUMMARY]
        assert {name: run.data.metrics[name] for name in summary} == pytest.approx(summary)
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_loss")]
        assert sorted(steps) == list(range(1, 1 + int(summary["epochs_trained"])))
