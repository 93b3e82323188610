"""A study's own run in MLflow has its data set, its recipe and its trials, and the load of the machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState
from support.record_studies import Bench
from support.small_studies import Quiet, small

from search import Study
from search.recipe import Recipe
from search.tracking.live import Live
from search.tracking.sync import StudySync
from search.tracking.system import SystemMetrics


@pytest.fixture
def uri(tmp_path: Path, empty_mlflow: Path) -> str:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def synced(study: Study, uri: str) -> Run:
    """Bring MLflow up to date, and return the study's own run."""
    assert StudySync(study.name, study.storage, uri, "regsearch").go(Live(), ended=True)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("regsearch")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"tags.`regsearch.key` = '{study.name}'")
    return run


def test_the_recipe_and_the_trials_are_files_of_the_studys_run(tmp_path: Path, uri: str) -> None:
    study = small(tmp_path, replicates=2, title="How strong?").run(observers=[Quiet()])
    run = synced(study, uri)
    assert run.info.artifact_uri is not None
    assert Path(run.info.artifact_uri).is_relative_to(tmp_path), "beside the database, wherever the command runs"
    (tmp_path / "again.toml").write_text(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/recipe.toml"))
    assert Recipe.load(str(tmp_path / "again.toml")) == study.recipe
    table = pd.read_csv(f"{run.info.artifact_uri}/trials.csv")
    pd.testing.assert_frame_equal(table, study.trials(), check_dtype=False, rtol=1e-12)
    # Nothing is attached twice, and a changed table is.
    client = Mock(wraps=MlflowClient.log_text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "log_text", lambda *given: client(*given))
        synced(study, uri)
        assert client.call_count == 0
        synced(study.run(13, observers=[Quiet()]), uri)
        assert client.call_count == 2
    assert len(pd.read_csv(f"{run.info.artifact_uri}/trials.csv")) == 13


def test_the_data_set_is_an_input_of_the_studys_run(tmp_path: Path, uri: str) -> None:
    study = small(tmp_path).run(4, observers=[Quiet()])
    for _ in range(2):
        (noted,) = synced(study, uri).inputs.dataset_inputs
    found = noted.dataset
    assert (found.name, found.digest) == ("wine", study.data.fingerprint())
    assert json.loads(found.source) == {"uri": "wine"}
    rows = {"train": 106, "validation": 36, "test": 36}
    assert json.loads(found.profile) == {"task": "classification", "outputs": 3, **rows}
    (tensor,) = json.loads(found.schema)["mlflow_tensorspec"]["features"]
    assert tensor["tensor-spec"] == {"dtype": "float32", "shape": [-1, 13]}


def test_the_columns_of_a_table_are_its_schema(tmp_path: Path, uri: str) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"rooms": random.integers(1, 9, 60), "area": random.normal(90, 20, 60)})
    frame["town"] = random.choice(["Bern", "Thun"], 60)
    frame["rent"] = frame.area * 20 + random.normal(0, 9, 60)
    frame.loc[3, "area"] = np.nan
    frame.to_csv(tmp_path / "homes.csv", index=False)
    table = {"dataset": str(tmp_path / "homes.csv"), "target": "rent"}
    study = small(tmp_path, data=table, trials=2, ask_batch=2).run(observers=[Quiet()])
    (noted,) = synced(study, uri).inputs.dataset_inputs
    columns = {one["name"]: one["type"] for one in json.loads(noted.dataset.schema)["mlflow_colspec"]}
    assert columns == {"rooms": "long", "area": "double", "town": "string"}
    assert json.loads(noted.dataset.source) == {"uri": str(tmp_path / "homes.csv")}


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = small(tmp_path).run(4, observers=[Quiet()])
    monkeypatch.setattr(MlflowClient, "log_text", Mock(side_effect=PermissionError("no such luck")))
    run = synced(study, uri)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "recipe.toml" in line]
    assert "has no files recipe.toml and trials.csv" in line
    assert "no such luck" in line
    assert run.info.status == "FINISHED"
    monkeypatch.undo()
    assert {one.path for one in MlflowClient(uri).list_artifacts(synced(study, uri).info.run_id)} == {
        "recipe.toml",
        "trials.csv",
    }


def test_the_load_of_the_machine_is_measured_while_it_trains(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    better, worse = bench.ask(), bench.ask()
    bench.tell(worse, TrialState.COMPLETE)
    sync = StudySync(bench.name, bench.storage, bench.uri, "regsearch", SystemMetrics(every=0.0))
    for _ in range(2):
        sync.go(Live(), ended=False)
    found = bench.runs()[bench.name]
    measured = {name: value for name, value in found.data.metrics.items() if name.startswith("system/")}
    assert 0 <= measured["system/cpu_utilization_percentage"] <= 100
    assert 0 < measured["system/system_memory_usage_percentage"] <= 100
    read: list[str] = []
    history = MlflowClient.get_metric_history

    def noting(client: MlflowClient, run_id: str, key: str, *rest: Any) -> Any:
        read.append(key)
        return history(client, run_id, key, *rest)

    monkeypatch.setattr(MlflowClient, "get_metric_history", noting)
    bench.tell(better, TrialState.COMPLETE)
    bench.sync()
    assert bench.runs()[bench.name].data.metrics["best_value"] == 0.25
    assert "best_value" in read
    assert not [key for key in read if key.startswith("system/")], "they may be many"
    assert SystemMetrics(every=60.0).points(0) == []
