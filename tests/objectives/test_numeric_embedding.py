"""A study that searches the encoding: its folds, its answers, and what does not go with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support.small_studies import Quiet, small
from torch.nn import functional as F

import search
from objectives.numeric_embedding import edges
from search import Study, Technique
from search.data import PiecewiseLinear
from search.errors import RequestError
from search.export.ensemble import candidates
from search.export.refit import refit
from search.recipe.compose import validate_techniques
from search.recipe.discovery import discover
from search.study.retrain import retrained
from search.train.model_file import load

BINS: dict[str, Any] = {
    "techniques": ["numeric_embedding", "l2"],
    "space": {"bins": {"choices": [0, 4, 9]}, "lr": {"low": 1e-3, "high": 1e-1, "log": True}},
    "set": {"epochs": 4, "hidden": "16", "batch_size": 50, "l2": 1e-4},
    "pruner": {"name": "none"},
    "trials": 8,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of bins in two scales, on wine, which has columns of few different values."""
    space = BINS["space"] | {"scale": {"choices": ["standard", "quantile"]}}
    return small(tmp_path_factory.mktemp("study"), **BINS | {"space": space}).run(observers=[Quiet()])


def test_trials_differ_in_bins_and_each_is_replayed_to_the_bit(study: Study) -> None:
    trials = study.optuna_study.trials
    assert {trial.params["bins"] for trial in trials} == {0, 4, 9}
    for bins in (0, 4, 9):
        assert study.replay(next(trial.number for trial in trials if trial.params["bins"] == bins)).same


def test_an_exported_trial_predicts_what_the_study_measured(study: Study, tmp_path: Path) -> None:
    wine = search.data.load("wine", scale="none")
    for trial in study.optuna_study.trials:
        study.export(tmp_path / f"{trial.number}.safetensors", trial=trial.number)
        model = load(tmp_path / f"{trial.number}.safetensors")
        probabilities = model.predict(wine.x_val)
        assert F.nll_loss(probabilities.log(), wine.y_val).item() == pytest.approx(trial.value, rel=1e-4)
        assert model.meta.features == 13
        assert (model.meta.encoded is None) == (trial.params["bins"] == 0)


def test_an_ensemble_has_members_of_one_encoding(study: Study, tmp_path: Path) -> None:
    chosen = candidates(study)
    assert len({(trial.params["bins"], trial.params["scale"]) for trial in chosen}) == 1
    exported = study.export(tmp_path / "model.safetensors", ensemble=4)
    bins = chosen[0].params["bins"]
    assert any(f"chosen among trials with bins {bins}, as the best trial has" in note for note in exported.notes)


def test_a_refit_keeps_the_edges_of_the_training_rows(tmp_path: Path) -> None:
    fixed = BINS | {"space": {"lr": BINS["space"]["lr"]}, "set": BINS["set"] | {"bins": 5}, "trials": 2}
    study = small(tmp_path, **fixed).run(observers=[Quiet()])
    exported = study.export(tmp_path / "model.safetensors", refit=True)
    expected = PiecewiseLinear.of(edges(study.data.x_train, {"bins": 5}))
    assert torch.equal(exported.model.tensors["inputs.edges"], expected.edges)
    assert study.best is not None
    (chosen,) = refit(study, [retrained(study, study.best.number)])
    both = expected.apply(torch.cat([study.data.x_train, study.data.x_val]))
    assert torch.equal(chosen.network.batches.x_train[:, : expected.width], both)


def test_each_network_of_a_cross_validation_is_replayed_to_the_bit(tmp_path: Path) -> None:
    noisy = {"techniques": [*BINS["techniques"], "dropout"], "set": BINS["set"] | {"dropout": 0.2}, "trials": 4}
    study = small(tmp_path, **BINS | noisy, data={"dataset": "wine", "folds": 3}).run(observers=[Quiet()])
    encoded = next(trial.number for trial in study.optuna_study.trials if trial.params["bins"])
    assert study.replay(encoded).same
    assert study.uncertainty(trial=encoded, passes=2).networks
    study.export(tmp_path / "model.safetensors", refit=True)


def test_a_table_is_predicted_from_a_file_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    income = rng.exponential(1e4, 240)
    town = rng.choice(["Bern", "Chur", None], 240)
    frame = pd.DataFrame({"income": income, "town": town, "score": np.log(income) + (town == "Bern")})
    study = Study(
        "numeric_embedding", data=frame, target="score", set={"epochs": 5, "hidden": "8", "bins": 6, "batch_size": 50},
        trials=1, storage=f"sqlite:///{tmp_path}/study.db", tracking_uri=None, device="cpu",
    ).run(observers=[Quiet()])  # fmt: skip
    assert any("1 of 4 inputs are encoded in at most 6 bins" in note for note in study.data.notes)
    study.export(tmp_path / "model.safetensors")
    from_file = search.load(tmp_path / "model.safetensors").predict(frame, interval=0.9)
    pd.testing.assert_frame_equal(from_file, study.predict(frame, interval=0.9))
    assert study.check().fitted


def test_pictures_and_a_second_encoding_and_networks_to_start_from_are_refused() -> None:
    with pytest.raises(RequestError, match=r"but digits has pictures: .* or leave it off: --set bins=off"):
        Study("numeric_embedding", dataset="digits", tracking_uri=None)
    Study("numeric_embedding", dataset="digits", tracking_uri=None, set={"bins": "off"})
    with pytest.raises(RequestError, match="fine_tune cannot start from another one"):
        Study("numeric_embedding+fine_tune", dataset="wine", tracking_uri=None)
    embedding = discover()["numeric_embedding"]
    other = Technique(name="other", edges=embedding.edges)
    with pytest.raises(RequestError, match="'numeric_embedding' and 'other' both encode the inputs: a study has one"):
        validate_techniques([embedding, other])


def test_fine_tune_refuses_a_source_with_an_encoding(study: Study, tmp_path: Path) -> None:
    number = next(trial.number for trial in study.optuna_study.trials if trial.params["bins"])
    study.export(tmp_path / "model.safetensors", trial=number)
    with pytest.raises(RequestError, match="has bins or waves, from which fine_tune cannot start"):
        Study("fine_tune", dataset="wine", tracking_uri=None, set={"source": str(tmp_path / "model.safetensors")})
