"""What batch normalisation keeps between steps, and what it refuses."""

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
    """After minibatches of 32, 32, 32 and 4 rows, twice over, for two slots of different speeds."""
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
        ({"batch_size": 1}, "at least 2 rows: 106 rows in minibatches of 1 leave one alone"),
        ({"batch_size": 15}, "at least 2 rows: 106 rows in minibatches of 15 leave one alone"),
        # The part of 0.2 has ceil(21.2) rows; 0.5 has 53, of which 13 leaves one.
        ({"batch_size": 7, "train_fraction": 0.2}, "at least 2 rows: 22 rows in minibatches of 7 leave one alone"),
        ({"batch_size": 13}, "at least 2 rows: 53 rows in minibatches of 13 leave one alone"),
        ({"hidden": "0"}, "takes a hidden layer, got hidden 0"),
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
