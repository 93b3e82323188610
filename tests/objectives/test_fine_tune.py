"""Data are scaled as those of the source were, whatever its scaling is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from objectives import fine_tune
from search.data import Data, load
from search.train.model_file import Model, save
from search.train.model_meta import Meta
from search.train.model_parts import NonlinearInputs


def source(data: Data, path: Path) -> SimpleNamespace:
    """Save a network that was trained on these data, and return a study's context that names it."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(data.features, data.outputs))
    scaling = {f"inputs.{name}": tensor for name, tensor in data.inputs.tensors.items()}
    assert data.inputs.nonlinear is not None
    nonlinear = NonlinearInputs.describe(data.inputs.nonlinear)
    widths = (data.features, data.outputs)
    meta = Meta(widths=widths, activation="tanh", task="classification", dataset=data.name, nonlinear=nonlinear)
    save(path, Model(meta, {**network.state_dict(), **scaling}))
    named = fine_tune.parse(str(path))
    return SimpleNamespace(possible=lambda _name: [named])


@pytest.mark.parametrize("scale", ["robust", "quantile"])
def test_standardised_data_take_the_nonlinear_scaling_of_the_source(scale: str, tmp_path: Path) -> None:
    theirs = load("wine", scale=scale, seed=1)
    found = fine_tune.prepare(load("wine"), source(theirs, tmp_path / "model.safetensors"))
    assert found.inputs.equals(theirs.inputs)
    raw = load("wine", scale="none")
    torch.testing.assert_close(found.x_val, theirs.inputs.apply(raw.x_val), rtol=1e-3, atol=1e-3)


def test_a_nonlinear_scaling_is_kept_if_it_is_the_sources_and_else_refused(tmp_path: Path) -> None:
    robust = load("wine", scale="robust")
    context = source(robust, tmp_path / "model.safetensors")
    assert fine_tune.prepare(robust, context) is robust
    with pytest.raises(ValueError, match="give --scale standard, which the source's then replaces"):
        fine_tune.prepare(load("wine", scale="quantile"), context)
