"""The command as its user types it: a real process, real databases, MLflow read back through its own client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from search import Study, run

ROOT = Path(__file__).parents[1]
WORDS = ["l2", "--epochs", "6", "--hidden", "16", "--ask-batch", "4", "--trials", "8"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "search.run", *words]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}


def runs(folder: Path) -> tuple[MlflowClient, Run, dict[int, Run]]:
    """The client, the parent run and the trials' runs by number."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("regsearch")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in children)
    by_number = {int(run.data.tags["regsearch.key"].rpartition("/")[2]): run for run in children}
    assert len(by_number) == len(children)
    return client, parent, by_number


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(command(*WORDS, "--json"), cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def study_in(folder: Path) -> Study:
    changes: dict[str, Any] = {"set": {"epochs": 6, "hidden": "16"}, "ask_batch": 4}
    return Study("l2", storage=f"sqlite:///{folder / 'optuna.db'}", tracking_uri=None, **changes)


def test_the_json_says_what_the_study_holds(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, said = finished
    assert {path.name for path in folder.iterdir()} == {"optuna.db", "mlflow.db", "mlruns"}
    study = study_in(folder)
    assert said["study"] == "l2-digits"
    assert sum(said["trials"].values()) == len(study.optuna_study.trials) == 8
    assert said["best"] == {"number": study.best.number, "value": study.best.value, "params": study.best.params}  # type: ignore[union-attr]
    assert said["epochs"] == len(study.curves())


def test_mlflow_shows_every_trial_as_the_study_has_it(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    study = study_in(folder)
    client, parent, children = runs(folder)
    assert parent.info.status == "FINISHED"
    curves, states = study.curves(), Counter(run.info.status for run in children.values())
    assert states == {"FINISHED": said_states(study, "complete"), "KILLED": said_states(study, "pruned")}
    for row in study.trials().itertuples():
        run = children[row.number]
        mine = curves[curves["trial"] == row.number]
        for metric in ("train_loss", "val_loss", "val_accuracy", "sparsity"):
            points = sorted(client.get_metric_history(run.info.run_id, metric), key=lambda point: point.step)
            assert [point.step for point in points] == mine["epoch"].tolist()
            assert [point.value for point in points] == pytest.approx(mine[metric].tolist(), rel=1e-6)
        assert float(run.data.params["l2"]) == pytest.approx(row.l2, rel=1e-6)
        assert run.data.metrics["best_val_loss"] == pytest.approx(row.value, rel=1e-6)


def said_states(study: Study, state: str) -> int:
    return int((study.trials()["state"] == state).sum())


@pytest.mark.usefixtures("in_an_empty_folder")
def test_a_finished_study_is_a_no_op_that_says_so(
    finished: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, said = finished
    monkeypatch.chdir(folder)
    assert run.main(WORDS) == 0
    out, err = capsys.readouterr()
    assert "nothing to train" in err
    assert f"{said['best']['value']:.4g}" in out
    assert len(runs(folder)[2]) == 8


_LISTED = """
name = "course/rates"
replicates = 2
set = { epochs = 3, hidden = "16" }
[[settings]]
name = "small rate"
set = { lr = 1e-4 }
published = { final_val_accuracy = 0.1, final_train_loss = 1e9 }
[[settings]]
set = { lr = 1e-2 }
"""


@pytest.mark.slow
@pytest.mark.usefixtures("in_an_empty_folder")
def test_listed_settings_are_compared_with_published_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text(_LISTED)

    def ran(*words: str) -> subprocess.CompletedProcess[str]:
        done = command("mine.toml", "--device", "cpu", *words)
        return subprocess.run(done, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)

    said = json.loads(ran("--json").stdout, parse_constant=pytest.fail)
    assert (said["study"], said["trials"]) == ("course/rates-digits", {"complete": 2})
    study = Study(str(tmp_path / "mine.toml"), storage=f"sqlite:///{tmp_path}/optuna.db", tracking_uri=None)
    curves = study.curves()
    last = curves[(curves["trial"] == 0) & (curves["epoch"] == 3)]
    accuracy, loss = said["published"]
    assert (accuracy["setting"], accuracy["metric"], accuracy["theirs"]) == ("small rate", "final_val_accuracy", 0.1)
    assert accuracy["ours"] == pytest.approx(last["val_accuracy"].mean(), rel=1e-6)
    assert accuracy["sd"] == pytest.approx(last["val_accuracy"].std(), rel=1e-5)
    assert (loss["metric"], loss["agrees"]) == ("final_train_loss", False)
    assert study.published().to_dict("records") == said["published"]
    assert said["differs"] == []
    # The name's stroke is no stroke of MLflow's keys: a second run finds every run of the first.
    again = ran()
    assert "nothing to train" in again.stderr
    assert "small rate" in again.stdout
    assert "differ from the published" not in again.stdout
    assert sorted(runs(tmp_path)[2]) == [0, 1]
    words = ["mine.toml", "--device", "cpu", "--epochs", "1", "--study-name", "short", "--tracking-uri", "none"]
    assert run.main(words) == 0
    assert "settings differ from the published ones: epochs 1 (published: 3)" in capsys.readouterr().out


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_interrupted_it_keeps_everything_and_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    words = [*WORDS, "--set", "lr=0.002", "--epochs", "800", "--pruner", "none", "--tracking-uri", "none"]
    # A shell starts what runs in its background so that it ignores Ctrl-C, and so would a child of these tests.
    before = signal.signal(how, signal.SIG_DFL)
    try:
        process = subprocess.Popen(command(*words), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(how, before)
    assert process.stderr is not None
    while "training trials 4" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(how)
    sent = time.monotonic()
    rest = process.stderr.read()
    assert process.wait(20) == 130
    assert time.monotonic() - sent < 5
    assert "run the same command again" in rest
    assert "Traceback" not in rest
    done = subprocess.run(command(*words, "--json"), cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["trials"] == {"complete": 8}
    assert said["epochs"] == 4 * 800  # the first cohort is not trained again
