"""A registered model takes the user's rows, answers over HTTP, and needs neither this package nor a special torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.served_model import ask, serving_model
from support.small_studies import Quiet, small

import search
from search import run
from search.errors import EnvironmentFault
from search.export import __main__ as export
from search.export import registry
from search.export.loading import plain_network
from search.train.model_file import load

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
# Of the packages that this one needs, only those that a registered model names may be imported.
WITHOUT = """
import sys
for name in ("optuna", "cmaes", "scipy", "numba", "sqlalchemy", "mlflow", "requests", "matplotlib", "filelock",
             "torchvision", "typer", "tomli_w", "psutil", "objectives", "studies"):
    sys.modules[name] = None
import pandas
from search.predict.predictor import load
load("model.safetensors").predict(pandas.read_csv("homes.csv")).to_csv("predicted.csv", index=False)
"""
LOADED = """
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/homes@champion")
model.predict(pandas.read_csv("homes.csv").drop(columns="price")).to_csv("predicted.csv", index=False)
import search
print(search.__file__)
"""


@pytest.fixture
def uri(in_an_empty_folder: Path, empty_mlflow: Path) -> str:
    """MLflow's, with the whole path, because MLflow keeps connections by the URI."""
    shutil.copy(empty_mlflow, in_an_empty_folder / "mlflow.db")
    return f"sqlite:///{in_an_empty_folder}/mlflow.db"


@pytest.fixture
def homes(in_an_empty_folder: Path) -> pd.DataFrame:
    """Write homes.csv, with numbers, text, missing cells, and a class to predict."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"rooms": random.integers(1, 9, 120), "area": np.round(random.normal(90, 20, 120), 3)})
    table["town"] = random.choice(["Bern", "Thun", None], 120)
    table["code"] = random.choice([3000, 3600], 120)
    table["lift"] = random.choice([True, False], 120)
    table["price"] = np.where(table.area + 9 * table.rooms > 130, "dear", "cheap")
    table.loc[3, "area"] = np.nan
    table.to_csv(in_an_empty_folder / "homes.csv", index=False)
    return table


def columns(schema: Any) -> dict[str, str]:
    return {one["name"]: one["type"] for one in schema.to_dict()}


def test_the_signature_has_the_users_columns(homes: pd.DataFrame) -> None:
    study = small(Path(), data={"dataset": "homes.csv", "target": "price"}, trials=1, ask_batch=1)
    model = study.run(observers=[Quiet()], decide=False).export("model.safetensors").model
    found = registry.signature(model)
    types = {"rooms": "long", "area": "double", "town": "string", "code": "long", "lift": "boolean"}
    assert columns(found.inputs) == types
    probabilities = {"probability_cheap": "double", "probability_dear": "double"}
    assert columns(found.outputs) == {"prediction": "string", **probabilities}
    predicted = search.load("model.safetensors").predict(homes)
    assert list(predicted) == list(columns(found.outputs))


@pytest.mark.slow
def test_a_model_file_needs_no_other_packages_than_those_it_names(homes: pd.DataFrame) -> None:
    study = small(Path(), data={"dataset": "homes.csv", "target": "price"}, trials=1, ask_batch=1)
    study.run(observers=[Quiet()], decide=False).export("model.safetensors")
    predicted = search.load("model.safetensors").predict(homes)
    subprocess.run([sys.executable, "-c", WITHOUT], check=True)
    pd.testing.assert_frame_equal(pd.read_csv("predicted.csv"), predicted, check_dtype=False, rtol=1e-6)


@pytest.mark.parametrize(("targets", "kind"), [([3, 7], "long"), (["3", "07"], "string"), ([1.5, 2.25, 3.125], None)])
def test_whole_numbers_and_values_are_typed_as_predicted(targets: list[Any], kind: str | None) -> None:
    random = np.random.default_rng(1)
    table = pd.DataFrame({"a": random.normal(size=80), "b": random.normal(size=80), "y": np.resize(targets, 80)})
    if kind is None:
        table["y"] += random.normal(size=80)
    table.to_csv("table.csv", index=False)
    study = small(Path(), data={"dataset": "table.csv", "target": "y"}, trials=1, ask_batch=1)
    model = study.run(observers=[Quiet()], decide=False).export("model.safetensors").model
    (named, typed), *_ = columns(registry.signature(model).outputs).items()
    predicted = search.load("model.safetensors").predict(table)
    assert named == "prediction"
    assert (
        typed
        == {"i": "long", "f": "double", "O": "string", "U": "string", "T": "string"}[predicted.prediction.dtype.kind]
    )


def test_requirements_are_versions_that_every_index_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "version", {"torch": "2.13.0+cu130", "numpy": "2.4.1"}.__getitem__)
    assert registry.requirements("torch", "numpy") == ["torch==2.13.0", "numpy==2.4.1"]


def searched(uri: str, *words: str, recipe: str = "l2", hidden: str = "8") -> None:
    short = ["--trials", "2", "--replicates", "2", "--epochs", "3", "--hidden", hidden, "--device", "cpu"]
    assert run.main([recipe, *words, *short, "--storage", "sqlite:///study.db", "--tracking-uri", uri]) == 0


def registered(capsys: pytest.CaptureFixture[str], uri: str, *words: str) -> str:
    capsys.readouterr()
    where = ["--storage", "sqlite:///study.db", "--device", "cpu", "--tracking-uri", uri]
    status = export.main([*words, *where, "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    model = json.loads(out)["registered"]
    assert isinstance(model, str)
    return model


@pytest.mark.slow
def test_a_registered_table_is_served(
    homes: pd.DataFrame, in_an_empty_folder: Path, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    searched(uri, "--dataset", "homes.csv", "--target", "price")
    words = ["l2-homes", "--register", "homes"]
    for _ in range(2):
        assert registered(capsys, uri, *words, "--ensemble", "3", "--calibrate") == "models:/homes/1"
    assert registered(capsys, uri, *words, "--refit", "--threshold", "f1", "--force") == "models:/homes/2"
    import mlflow

    client = mlflow.MlflowClient(uri)
    assert client.get_model_version_by_alias("homes", "champion").version in (2, "2")
    expected = search.load("model.safetensors").predict(homes)
    folder = Path(mlflow.artifacts.download_artifacts("models:/homes/2", tracking_uri=uri))
    wanted = (folder / "requirements.txt").read_text().split()
    assert {"torch", "numpy", "pandas"} <= {one.partition("==")[0] for one in wanted}
    assert not [one for one in wanted if "+" in one]
    # A fresh process uses the package that came with the model.
    environment = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": ""}
    out = subprocess.run(
        [sys.executable, "-c", LOADED],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "mlruns" in out
    found = pd.read_csv("predicted.csv")
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True), check_dtype=False, rtol=1e-6)
    with serving_model("models:/homes@champion", uri, in_an_empty_folder) as address:
        rows = json.loads(homes.drop(columns="price").head(6).to_json(orient="records"))
        status, answer = ask(address, rows)
        assert status == 200, answer
        served = pd.DataFrame(answer["predictions"])
        pd.testing.assert_frame_equal(served, expected.head(6).reset_index(drop=True), check_dtype=False, rtol=1e-6)
        status, answer = ask(address, [{name: value for name, value in rows[0].items() if name != "rooms"}])
        assert status == 400
        assert "missing inputs ['rooms']" in answer["message"]


@pytest.mark.slow
def test_an_ensemble_of_images_is_a_module(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    searched(uri, "--dataset", "digits")
    assert registered(capsys, uri, "l2-digits", "--register", "digits", "--ensemble", "3") == "models:/digits/1"
    import mlflow

    mlflow.set_tracking_uri(uri)
    served = mlflow.pytorch.load_model("models:/digits@champion")
    rows, model = 16 * torch.rand(20, 64), load("model.safetensors")
    torch.testing.assert_close(served(rows).softmax(1), model.predict(rows), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(served(rows), plain_network(model)(rows), rtol=1e-4, atol=1e-4)
    (parent,) = mlflow.MlflowClient().search_runs(["1"], "tags.`regsearch.key` = 'l2-digits'")
    (version,) = mlflow.MlflowClient().search_model_versions("name='digits'")
    assert version.run_id == parent.info.run_id
    assert parent.info.status == "FINISHED"


@pytest.mark.slow
def test_a_trial_whose_networks_predict_together_belongs_to_its_own_run(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "digits", "--study-name", "together", "--set", "snapshot=3", "--set", "skip=true"]
    searched(uri, *words, recipe="snapshot+skip+batch_norm", hidden="8x8")
    assert registered(capsys, uri, "together", "--trial", "1", "--register", "three") == "models:/three/1"
    import mlflow

    mlflow.set_tracking_uri(uri)
    served = mlflow.pytorch.load_model("models:/three@champion")
    rows, model = 16 * torch.rand(20, 64), load("model.safetensors")
    assert len(model.networks) == 3
    torch.testing.assert_close(served(rows).softmax(1), model.predict(rows), rtol=1e-4, atol=1e-4)
    (run_of_trial,) = mlflow.MlflowClient().search_runs(["1"], "tags.`regsearch.key` = 'together/1'")
    (version,) = mlflow.MlflowClient().search_model_versions("name='three'")
    assert version.run_id == run_of_trial.info.run_id


@pytest.mark.slow
def test_files_that_cannot_be_stored_are_one_line(uri: str) -> None:
    searched(uri, "--dataset", "wine")
    exported = search.load_study("l2-wine", storage="sqlite:///study.db", device="cpu").export("model.safetensors")
    shutil.rmtree("mlruns")
    Path("mlruns").touch()  # no folder can be made here
    with pytest.raises(EnvironmentFault, match=r"^MLflow at sqlite:///.*mlflow.db: \w.*$"):
        exported.register("wine", uri)
