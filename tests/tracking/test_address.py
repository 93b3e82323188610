"""Where MLflow shows a study: a command that serves the right store, and the address of the study's view."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from support.mlflow_server import free_port

from search.tracking import address
from search.tracking.page import study_view

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture
def client(empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    shutil.copy(empty_mlflow, "mlflow.db")
    monkeypatch.delenv("MLFLOW_BACKEND_STORE_URI", raising=False)
    # By its whole path: MLflow keeps the connections of a process by the URI, which other tests use in their folders.
    return MlflowClient(f"sqlite:///{Path('mlflow.db').absolute()}")


def offer(client: MlflowClient, study: str) -> tuple[str, str]:
    number = client.create_experiment("regsearch")
    view = study_view(study, ["l2"], ["best_val_loss"], 0)
    assert view is not None
    client.set_experiment_tag(number, *view)
    return number, view[0].removeprefix("mlflow.sharedViewState.")


def test_the_line_serves_the_store_and_the_address_opens_the_view(client: MlflowClient) -> None:
    number, key = offer(client, "l2-digits")
    command, page = address.lines("sqlite:///mlflow.db", "l2-digits", "regsearch")
    assert command.endswith("mlflow ui")
    assert page == f"then open http://127.0.0.1:5000/#/experiments/{number}/runs?viewStateShareKey={key}"
    # A study without a view, and a store without the experiment.
    assert address.lines("sqlite:///mlflow.db", "other", "regsearch")[1].endswith(f"/#/experiments/{number}/runs")
    client.rename_experiment(number, "mine")
    assert address.lines("sqlite:///mlflow.db", "l2-digits", "regsearch")[1] == "then open http://127.0.0.1:5000"


def test_another_store_is_named(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    del client
    command, page = address.lines("sqlite:///other.db", "l2-digits", "regsearch")
    assert command.endswith("mlflow ui --backend-store-uri sqlite:///other.db")
    assert page == "then open http://127.0.0.1:5000"
    assert not Path("other.db").exists()
    Path("mlruns/0").mkdir(parents=True)
    assert "--backend-store-uri" not in address.lines("sqlite:///mlflow.db", "x", "regsearch")[0], (
        "files alone are no store"
    )
    Path("mlruns/0/meta.yaml").touch()
    assert "--backend-store-uri sqlite:///mlflow.db" in address.lines("sqlite:///mlflow.db", "x", "regsearch")[0]
    shutil.rmtree("mlruns")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "sqlite:///third.db")
    assert "--backend-store-uri sqlite:///mlflow.db" in address.lines("sqlite:///mlflow.db", "x", "regsearch")[0]


def test_a_server_is_asked(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = offer(client, "l2-digits")
    asked: list[Any] = []

    class Answer:
        def json(self) -> dict[str, Any]:
            tags = [{"key": f"mlflow.sharedViewState.{key}", "value": "{}"}]
            return {"experiment": {"experiment_id": "7", "tags": tags}}

    def get(url: str, **given: Any) -> Answer:
        asked.append((url, given))
        return Answer()

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    (line,) = address.lines("https://me:secret@mlflow.example.org/", "l2-digits", "regsearch")
    assert line.endswith(f"mlflow.example.org/#/experiments/7/runs?viewStateShareKey={key}")
    assert "secret" not in line
    ((url, given),) = asked
    assert url.endswith("mlflow.example.org/api/2.0/mlflow/experiments/get-by-name")
    assert (given["params"], given["auth"]) == ({"experiment_name": "regsearch"}, ("me", "secret"))


def test_no_page_of_a_server_that_does_not_answer_is_named() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    assert address.lines(uri, "l2-digits", "regsearch") == []
