"""MLflow's own variables are the defaults, as for every other program: a real server over HTTP, and files."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from support.mlflow_server import serving
from support.small_studies import SMALL, Quiet

from search import RequestError, Study, run
from search.recipe import Recipe
from search.storage import tracking
from search.sync import sync_studies
from search.tracking import address

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (tracking.URI_VARIABLE, tracking.EXPERIMENT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    yield
    mlflow.set_tracking_uri(None)


def searched(**arguments: object) -> Study:
    recipe = Recipe.parse(SMALL | {"trials": 4}, "test")
    return Study(recipe, device="cpu", **arguments).run(observers=[Quiet()])  # type: ignore[arg-type]


def runs(uri: str, experiment: str) -> list[str]:
    """The names of the studies whose runs MLflow has."""
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    tags = [run.data.tags for run in client.search_runs([found.experiment_id])]
    return sorted({one["regsearch.study"] for one in tags})


@pytest.mark.slow
def test_a_server_and_an_experiment_that_the_environment_names_are_used(
    tmp_path: Path, empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "server").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "server/mlflow.db")
    with serving(tmp_path / "server/mlflow.db") as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
        study = searched()
        assert (study.tracking_uri, study.experiment) == (uri, "ours")
        assert f"MLflow tracks to {uri}, as MLFLOW_TRACKING_URI says" in " ".join(study.notes())
        assert runs(uri, "ours") == ["small-wine"]
        assert address.page(uri, study.name, "ours", "").startswith(f"{uri}/#/experiments/")  # type: ignore[union-attr]
        assert address.page(uri, study.name, "another") is None
        # What is given goes before what the environment says.
        given = searched(study_name="given", experiment="mine", tracking_uri="sqlite:///own.db")
        assert runs("sqlite:///own.db", "mine") == ["given"]
        assert not [note for note in given.notes() if "MLFLOW" in note]
        assert sync_studies("given")[0].equal
        assert runs(uri, "ours") == ["given", "small-wine"]
    assert not Path("mlflow.db").exists()


def test_what_a_notebook_has_set_is_used() -> None:
    mlflow.set_tracking_uri("sqlite:///notebook.db")
    assert searched().tracking_uri == f"sqlite:///{Path('notebook.db').absolute()}"
    assert runs("sqlite:///notebook.db", "regsearch") == ["small-wine"]
    assert not Path("mlflow.db").exists()


@pytest.mark.slow
def test_paths_are_those_of_the_folder_where_a_study_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.parse(SMALL | {"trials": 4}, "test")
    made = Path.cwd()
    study = Study(recipe, device="cpu", checkpoint=True)
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    study.run(2, observers=[Quiet()])
    monkeypatch.chdir(made)
    Path("third").mkdir()
    monkeypatch.chdir("third")
    study.run(4, observers=[Quiet()])
    assert runs(f"sqlite:///{made}/mlflow.db", "regsearch") == ["small-wine"]
    assert {"mlflow.db", "optuna.db"} <= set(os.listdir(made))
    assert os.listdir(made / "elsewhere") == os.listdir(made / "third") == []


@pytest.mark.parametrize("uri", ["./mlruns", "ftp://example.org"])
def test_a_wrong_variable_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RequestError, match=r"MLFLOW_TRACKING_URI \(see --tracking-uri\) takes none, sqlite:///FILE"):
        searched()
    assert not Path("optuna.db").exists()


class Refusing(BaseHTTPRequestHandler):
    """A server that is no MLflow, or asks for a password."""

    status = 401

    def answer(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"no")

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("status", [401, pytest.param(404, marks=pytest.mark.slow)])
def test_a_server_that_refuses_is_told_in_a_line(status: int, capfd: pytest.CaptureFixture[str]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Refusing,), {"status": status}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}"
    words = ["l2", "--dataset", "wine", "--epochs", "1", "--trials", "2", "--hidden", "8", "--device", "cpu"]
    try:
        assert run.main([*words, "--tracking-uri", uri]) == 0, "the study is whole all the same"
    finally:
        server.shutdown()
    out, err = capfd.readouterr()
    assert "curves:" not in out
    (line,) = [line for line in err.splitlines() if uri in line]
    assert str(status) in line
    assert "Traceback" not in err
