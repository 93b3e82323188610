"""A study that searches waves: its folds, its answers, and what does not go with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from support.small_studies import Quiet, small
from torch.nn import functional as F

import search
from search import Study, Technique
from search.errors import RequestError
from search.export import onnx_file
from search.export.loading import loading_code
from search.recipe.compose import validate_techniques
from search.recipe.discovery import discover
from search.study.model import ensemble_of, model_of
from search.study.retrain import retrained
from search.train.model_file import load, save
from search.train.model_meta import Meta

WAVES: dict[str, Any] = {
    "techniques": ["periodic_embedding", "dropout"],
    "space": {
        "waves": {"choices": [0, 4, 8]},
        "wave_sigma": {"low": 0.01, "high": 1.0, "log": True},
        "lr": {"low": 1e-3, "high": 1e-1, "log": True},
    },
    "set": {"epochs": 4, "hidden": "16", "batch_size": 50, "dropout": 0.1},
    "pruner": {"name": "none"},
    "trials": 8,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small(tmp_path_factory.mktemp("study"), **WAVES).run(observers=[Quiet()])


def test_trials_differ_in_waves_and_each_is_replayed_to_the_bit(study: Study) -> None:
    trials = study.optuna_study.trials
    assert {trial.params["waves"] for trial in trials} == {0, 4, 8}
    assert all(("wave_sigma" in trial.params) == (trial.params["waves"] > 0) for trial in trials)
    for waves in (0, 4, 8):
        assert study.replay(next(trial.number for trial in trials if trial.params["waves"] == waves)).same


def test_a_file_predicts_what_the_study_measured(study: Study, tmp_path: Path) -> None:
    wine = search.data.load("wine", scale="none")
    for trial in study.optuna_study.trials:
        study.export(tmp_path / f"{trial.number}.safetensors", trial=trial.number)
        model = load(tmp_path / f"{trial.number}.safetensors")
        assert F.nll_loss(model.predict(wine.x_val).log(), wine.y_val).item() == pytest.approx(trial.value, rel=1e-4)
        assert (model.meta.features, model.meta.waves) == (13, trial.params["waves"])


def test_members_of_an_ensemble_have_waves_of_their_own(study: Study, tmp_path: Path) -> None:
    trials = study.optuna_study.trials
    numbers = [next(trial.number for trial in trials if trial.params["waves"] == waves) for waves in (0, 4, 8)]
    members = [retrained(study, number) for number in numbers]
    save(tmp_path / "model.safetensors", ensemble_of(study, members, None))
    model = load(tmp_path / "model.safetensors")
    assert [member.waves for member in model.meta.members] == [0, 4, 8]
    assert model.meta.features == 13
    raw = search.data.load("wine", scale="none").x_val
    expected = torch.stack([model_of(study, one).predict(raw) for one in members]).mean(0)
    torch.testing.assert_close(model.predict(raw), expected, rtol=1e-5, atol=1e-6)
    known: dict[str, Any] = {"rows": raw}
    with torch.no_grad():
        exec("\n".join(loading_code(model, str(tmp_path / "model.safetensors"))), known)
    torch.testing.assert_close(known["outputs"], expected, rtol=1e-4, atol=1e-5)
    onnx_file.save(tmp_path / "model.onnx", model)
    (graph,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"rows": raw.numpy()})
    np.testing.assert_allclose(graph, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_folds_refit_uncertainty_and_the_check_work(tmp_path: Path) -> None:
    fixed = {"space": {"lr": WAVES["space"]["lr"]}, "set": WAVES["set"] | {"waves": 4, "wave_sigma": 0.1}, "trials": 2}
    study = small(tmp_path, **WAVES | fixed, data={"dataset": "wine", "folds": 3}).run(observers=[Quiet()])
    assert study.best is not None
    assert study.replay(study.best.number).same
    assert study.uncertainty(passes=2).networks
    assert study.check().fitted
    study.export(tmp_path / "model.safetensors", refit=True)
    rows = np.asarray(search.data.load("wine", scale="none").x_test)
    assert search.load(tmp_path / "model.safetensors").predict(rows).notna().all(axis=None)


def test_a_second_technique_with_waves_and_networks_to_start_from_are_refused(study: Study, tmp_path: Path) -> None:
    embedding = discover()["periodic_embedding"]
    other = Technique(name="other", waves=embedding.waves)
    with pytest.raises(RequestError, match="'periodic_embedding' and 'other' both add waves of the inputs"):
        validate_techniques([embedding, other])
    with pytest.raises(RequestError, match="fine_tune cannot start from another one"):
        Study("periodic_embedding+fine_tune", dataset="wine", tracking_uri=None)
    number = next(trial.number for trial in study.optuna_study.trials if trial.params["waves"])
    study.export(tmp_path / "model.safetensors", trial=number)
    with pytest.raises(RequestError, match="has bins or waves, from which fine_tune cannot start"):
        Study("fine_tune", dataset="wine", tracking_uri=None, set={"source": str(tmp_path / "model.safetensors")})


def test_a_damaged_file_is_refused(study: Study, tmp_path: Path) -> None:
    number = next(trial.number for trial in study.optuna_study.trials if trial.params["waves"])
    study.export(tmp_path / "model.safetensors", trial=number)
    model = load(tmp_path / "model.safetensors")
    for name, damaged, says in (
        ("0.phase", torch.ones(3), r"tensor 0\.phase should be"),
        ("0.frequency", torch.full_like(model.tensors["0.frequency"], torch.inf), "should hold finite float32 numbers"),
    ):
        save(tmp_path / "model.safetensors", replace(model, tensors={**model.tensors, name: damaged}))
        with pytest.raises(RequestError, match=says):
            load(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="widths should begin with the inputs and all of their waves"):
        Meta(widths=(14, 2), waves=4, activation="tanh", task="regression", dataset="d")
