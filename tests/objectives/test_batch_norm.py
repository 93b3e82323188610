"""Batch normalisation keeps the running estimates of torch, and refuses minibatches of one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference import train
from support.packs import adam, make_pack
from torch import nn

from search import RequestError, Study
from search.data import Data
from search.recipe import Recipe
from search.recipe.discovery import discover


def test_running_estimates_are_torchs(make_data: Callable[..., Data]) -> None:
    """Two slots with different `bn_alpha` agree after two epochs of minibatches of 32, 32, 32 and 4 rows."""
    data = make_data(100, 13, 3)
    alphas = [0.1, 0.7]
    pack = make_pack(
        data,
        [adam(bn_alpha=alpha) for alpha in alphas],
        techniques=[discover()["batch_norm"]],
        dtype=torch.float64,
        hidden="12x20",
        batch_norm=True,
    )
    for _ in range(2):
        pack.run_epoch()
    for slot, alpha in enumerate(alphas):
        model, _ = train(
            data,
            widths=(13, 12, 20, 3),
            epochs=2,
            batch_size=32,
            optimiser=lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
            modules=lambda _number, width, alpha=alpha: [nn.BatchNorm1d(width, momentum=alpha)],
        )
        norms = [module for module in model if isinstance(module, nn.BatchNorm1d)]
        for number, norm in enumerate(norms, 1):
            width = norm.num_features
            for name in ("running_mean", "running_var"):
                ours = pack.state[f"technique:batch_norm/{number}.{name}"][slot, :width]
                assert torch.allclose(ours, getattr(norm, name), rtol=1e-9, atol=1e-12), (slot, number, name)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 1}, "at least 2 rows, but 106 rows in minibatches of 1 leave one of 1: change batch_size"),
        ({"batch_size": 15}, "at least 2 rows, but 106 rows in minibatches of 15 leave one of 1: change batch_size"),
        # The fraction 0.2 has ceil(21.2) = 22 rows; 0.5 has 53, which minibatches of 13 cut with one row left.
        (
            {"batch_size": 7, "train_fraction": 0.2},
            "at least 2 rows, but 22 rows in minibatches of 7 leave one of 1: change batch_size",
        ),
        ({"batch_size": 13}, "at least 2 rows, but 53 rows in minibatches of 13 leave one of 1: change batch_size"),
        ({"hidden": "0"}, "it needs a hidden layer, got hidden 0"),
    ],
)
def test_a_minibatch_of_one_row_is_refused(changes: dict[str, Any], says: str) -> None:
    def study(**fixed: Any) -> Study:
        techniques = ["batch_norm", "train_fraction"]
        recipe = {"name": "x", "techniques": techniques, "data": {"dataset": "wine"}, "set": fixed}
        return Study(Recipe.parse(recipe, "test"), tracking_uri=None)

    assert len(study().data.x_train) == 106
    with pytest.raises(RequestError, match=says):
        study(**changes)
    study(**changes, batch_norm=False)
