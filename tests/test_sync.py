"""`python -m search.sync`: MLflow is equal to the study afterwards, also where its server died in the middle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import optuna
import pytest
import requests
from mlflow import MlflowClient
from optuna.trial import TrialState
from support import waiting
from support.mlflow_runs import assert_equal, runs
from support.mlflow_server import free_port, serving
from support.small_studies import Quiet, small

from search import Study, sync
from search.tracking import catch_up, reach


@pytest.fixture
def folder(in_an_empty_folder: Path, empty_mlflow: Path) -> Path:
    shutil.copy(empty_mlflow, in_an_empty_folder / "mlflow.db")
    return in_an_empty_folder


def command(*words: str) -> int:
    return sync.main([*words, "--storage", "sqlite:///study.db"])


def test_a_study_without_mlflow_gets_its_runs_and_a_second_time_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(folder).run(8, observers=[Quiet()], decide=False)
    other = small(folder).recipe.but("other", name="other")
    Study(other, storage="sqlite:///study.db", tracking_uri=None, device="cpu").run(
        2, observers=[Quiet()], decide=False
    )
    optuna.create_study(storage="sqlite:///study.db", study_name="somebody's")
    assert command("small-wine") == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "small-wine: MLflow has its 8 trials, 8 written now\n")
    client = MlflowClient("sqlite:///mlflow.db")
    before = runs("sqlite:///mlflow.db")
    assert_equal(small(folder).optuna_study, before, client)
    assert command("--json") == 0
    out, err = capsys.readouterr()
    assert "somebody's" not in err
    said = json.loads(out)
    assert said["equal"]
    assert said["studies"] == [
        {"study": "small-wine", "equal": True, "trials": 8, "written": 0},
        {"study": "other-wine", "equal": True, "trials": 2, "written": 2},
    ]
    after = runs("sqlite:///mlflow.db")
    assert len(after) == len(before) + 3
    for key, run in before.items():
        assert after[key].to_dictionary() == run.to_dictionary()


def test_what_is_wrong_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "catch_up", partial(catch_up.catch_up, patience=0.1))

    def said(*words: str, status: int) -> str:
        assert command(*words) == status
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "there is no" in said(status=2)
    optuna.create_study(storage="sqlite:///study.db", study_name="somebody's")
    assert said(status=2) == "error: storage: sqlite:///study.db has no study that regsearch made"
    small(folder).run(1, observers=[Quiet()], decide=False)
    unknown = said("dropot", status=2)
    assert "unknown study 'dropot': did you mean 'dropout'" in unknown
    assert "studies: small-wine, somebody's; recipes: adversarial, architecture, " in unknown
    assert "study 'somebody's' was not made by regsearch" in said("somebody's", status=2).replace('"', "'")
    assert "got 'none'" in said("--tracking-uri", "none", status=2)
    away = said("--tracking-uri", f"http://me:secret@127.0.0.1:{free_port()}", status=1)
    assert away.startswith("MLflow at http://...@127.0.0.1:")
    assert "is not answering (Connection refused)" in away
    assert away.endswith("run the command again when it does")


def test_a_dead_server_is_found_out_before_mlflow_is_imported(folder: Path) -> None:
    """Neither MLflow's patience nor its import is spent on it."""
    small(folder).run(1, observers=[Quiet()], decide=False)
    words = ["small-wine", "--storage", "sqlite:///study.db", "--tracking-uri", f"http://127.0.0.1:{free_port()}"]
    code = f"import sys, search.sync as s; status = s.main({words}); sys.exit('mlflow' in sys.modules and 9 or status)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("is not answering (Connection refused): run the command again when it does")


def test_what_a_failure_comes_to() -> None:
    """The system's word where there is one, however deep, else one line that shows where it was cut."""
    outer, inner = RuntimeError("Max retries exceeded"), requests.ConnectionError("HTTPConnectionPool(...)")
    outer.__context__, inner.__context__ = inner, ConnectionRefusedError(111, "Connection refused")
    assert reach.reason(outer) == "Connection refused"
    assert reach.reason(ValueError("one\ntwo")) == "ValueError: one"
    assert reach.reason(ValueError("x" * 500)).endswith("xxx...")
    assert reach.unreachable("sqlite:///mlflow.db") is None
    assert reach.unreachable("http://127.0.0.1:notaport") is None


until = partial(waiting.until, seconds=90)


@pytest.mark.slow
def test_a_server_that_dies_during_training_is_made_equal_later(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    words = ["l2", "--dataset", "wine", "--trials", "16", "--epochs", "400", "--pruner", "none", "--hidden", "16"]
    words += ["--batch-size", "10", "--storage", "sqlite:///study.db", "--tracking-uri", uri, "--device", "cpu"]
    with serving(folder / "mlflow.db", port):
        training = subprocess.Popen([sys.executable, "-m", "search.run", *words], stderr=subprocess.PIPE)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        until(lambda: client.get_experiment_by_name("regsearch") and len(runs(client.tracking_uri)) > 2)
        assert training.poll() is None
    _, err = training.communicate(timeout=120)
    told = err.decode()
    assert training.returncode == 0, told
    assert f"MLflow at {uri} is not answering (" in told
    assert "python -m search.sync" in told
    assert "MLflow is up to date" not in told
    study = optuna.load_study(study_name="l2-wine", storage="sqlite:///study.db")
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 16
    assert any(run.info.status == "RUNNING" for run in runs(client.tracking_uri).values())
    with serving(folder / "mlflow.db", port):
        assert command("--tracking-uri", uri) == 0
        assert "l2-wine: MLflow has its 16 trials" in capsys.readouterr().err
        assert_equal(study, runs(uri), MlflowClient(uri))
        assert command("--tracking-uri", uri) == 0
        assert "l2-wine: MLflow has its 16 trials, 0 written now" in capsys.readouterr().err
