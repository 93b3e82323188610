"""A refit trains on training and validation rows for the mean best epoch, always to the same bits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from reference import train
from support.small_studies import Quiet, small
from torch import nn

from search import RequestError, Study
from search.export.options import ExportOptions
from search.export.refit import joined, mean_best_epoch
from search.train.model_file import load


@pytest.fixture
def study(tmp_path: Path) -> Study:
    changes: dict[str, Any] = {"trials": 3, "ask_batch": 3, "replicates": 3, "pruner": {"name": "none"}}
    fixed = {"epochs": 12, "hidden": "16", "batch_size": 50, "optimizer": "sgd", "momentum": 0.0}
    space = {"l2": {"low": 1e-3, "high": 1e-1, "log": True}, "lr": {"low": 0.5, "high": 4.0, "log": True}}
    return small(tmp_path, set=fixed, space=space, **changes).run(observers=[Quiet()], decide=False)


def test_it_is_plain_training_on_both_parts(study: Study, tmp_path: Path) -> None:
    trial = study.optuna_study.trials[1]
    curves = study.curves()
    of_trial = curves[curves.trial == 1]
    best = [int(one.epoch[one.val_loss.idxmin()]) for _, one in of_trial.groupby("replicate")]
    epochs = int(sum(best) / 3 + 0.5)
    assert len(set(best)) > 1
    assert epochs < 12
    exported = study.export(tmp_path / "model.safetensors", 1, refit=True)
    model = load(tmp_path / "model.safetensors")
    assert (model.meta.refit_epochs, model.meta.val_loss) == (epochs, None)
    assert mean_best_epoch(study, 1) == epochs
    rows = len(study.data.x_train) + len(study.data.x_val)
    assert f"on the {rows} training and validation rows for {epochs} epochs" in exported.notes[0]
    assert "before, and no rows are left" in exported.notes[0]
    data = joined(study.data)
    assert len(data.x_train) == len(data.y_train) == rows
    plain, _ = train(
        data,
        widths=(13, 16, 3),
        epochs=epochs,
        batch_size=50,
        optimiser=lambda parameters: torch.optim.SGD(parameters, lr=trial.params["lr"]),
        penalty=lambda parameters: trial.params["l2"] * sum(one.square().sum() for one in parameters),
    )
    layers = [module for module in plain if isinstance(module, nn.Linear)]
    for number, layer in enumerate(layers):
        weight, bias = model.layer(number)
        torch.testing.assert_close(weight.double(), layer.weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(bias.double(), layer.bias, rtol=1e-3, atol=1e-4)


def test_it_has_the_same_bits_each_time_and_beside_others(study: Study, tmp_path: Path) -> None:
    digests = {study.export(tmp_path / f"{at}.safetensors", 2, refit=True).model.digest for at in range(2)}
    assert len(digests) == 1
    several = study.export(tmp_path / "model.safetensors", ensemble=9, refit=True).model
    assert all(member.refit_epochs is not None and member.val_loss is None for member in several.meta.members)
    assert several.meta.val_loss is None
    for number, member in enumerate(several.meta.members):
        if member.replicate == 0:
            alone = study.export(tmp_path / "alone.safetensors", member.trial, refit=True).model
            assert alone.meta.refit_epochs == member.refit_epochs
            for name, tensor in alone.tensors.items():
                if name[0].isdigit():
                    assert torch.equal(tensor, several.tensors[f"members.{number}.{name}"])


def test_what_cannot_be_refitted_is_refused_before_training(tmp_path: Path) -> None:
    """106 training rows in minibatches of 47 leave 12; with the 36 validation rows they leave 1."""
    fixed = {"epochs": 2, "hidden": "8", "batch_size": 47, "batch_norm": True}
    study = small(tmp_path, techniques=["batch_norm"], set=fixed, space={}, trials=1, ask_batch=1, sampler="random")
    study.run(observers=[Quiet()], decide=False)
    rows = len(study.data.x_train) + len(study.data.x_val)
    assert rows % 47 == 1
    with pytest.raises(
        RequestError, match=rf"refit of trial 0 .*'batch_norm': .* but {rows} rows in minibatches of 47"
    ):
        study.export(tmp_path / "model.safetensors", refit=True)
    with pytest.raises(RequestError, match="give either --refit or --calibrate"):
        study.export(tmp_path / "model.safetensors", refit=True, calibrate=True)
    tested: Any = SimpleNamespace(name="s", recipe=SimpleNamespace(data=SimpleNamespace(validation="test")))
    with pytest.raises(RequestError, match="those of 's' are its test rows"):
        ExportOptions(tmp_path / "model.safetensors", refit=True).validate_for(tested)


def test_a_cross_validation_is_refitted_on_all_its_rows(tmp_path: Path) -> None:
    fixed = {"epochs": 10, "hidden": "16", "batch_size": 50, "optimizer": "sgd", "momentum": 0.0, "lr": 1.0}
    study = small(
        tmp_path, data={"dataset": "wine", "folds": 3}, set=fixed, trials=2, space={"l2": {"choices": [0.0, 0.1]}}
    )
    study.run(observers=[Quiet()], decide=False)
    curves = study.curves()
    means = curves[curves.trial == 1].groupby("epoch").val_loss.mean()
    model = study.export(tmp_path / "model.safetensors", 1, refit=True).model
    assert model.meta.refit_epochs == means.idxmin()
    assert len(joined(study.data).x_train) == 178 - len(study.data.x_test)
