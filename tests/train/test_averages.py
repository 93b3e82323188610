"""Techniques that average weights, together: their order in a study does not matter, where it must not."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from reference import train
from support.data import random_data
from support.packs import adam, agree, make_pack, train_pack
from torch import nn
from torch.optim.swa_utils import AveragedModel

from search.recipe.discovery import discover

EPOCHS, EVERY, ALPHA, START = 4, 3, 0.5, 0.5
VALUES = {**adam(2e-3), "swa_start": START, "swa_length": 1.0, "lookahead": ALPHA, "lookahead_steps": float(EVERY)}


def _plain() -> dict[str, Any]:
    """Return Lookahead for `reference.train`, evaluated with the mean of its slow weights over the last epochs."""
    slow: list[nn.Sequential] = []
    means: list[AveragedModel] = []
    steps, epochs = 0, 0

    def after_step(model: nn.Sequential) -> None:
        nonlocal steps
        steps += 1
        if steps % EVERY == 0:
            for behind, fast in zip(slow[0].parameters(), model.parameters(), strict=True):
                behind += ALPHA * (fast - behind)
                fast.copy_(behind)

    def evaluated(_model: nn.Sequential) -> list[nn.Sequential]:
        nonlocal epochs
        epochs += 1
        if epochs < START * EPOCHS:
            return [slow[0]]
        if not means:
            means.append(AveragedModel(slow[0]))
        means[0].update_parameters(slow[0])
        return [means[0].module]

    return {
        "init": lambda model: slow.append(deepcopy(model)),
        "after_step": after_step,
        "evaluated": evaluated,
        "optimiser": lambda parameters: torch.optim.Adam(parameters, lr=2e-3),
    }


@pytest.mark.parametrize("names", [("swa", "lookahead"), ("lookahead", "swa")])
def test_weights_return_to_slow_weights_whatever_else_averages_them(names: tuple[str, str]) -> None:
    data, known = random_data(100, 13, 3), discover()
    techniques = [known[name] for name in names]
    pack = make_pack(data, [VALUES], techniques=techniques, dtype=torch.float64, epochs=EPOCHS)
    trained = train_pack(pack, EPOCHS)
    model, curves = train(data, widths=(13, 12, 3), epochs=EPOCHS, batch_size=32, **_plain())
    agree(trained, 0, model, curves)


@pytest.mark.parametrize("names", [("snapshot", "ema"), ("ema", "snapshot")])
def test_networks_predict_together_whatever_else_averages_them(names: tuple[str, str]) -> None:
    known = discover()
    pack = make_pack(
        random_data(100, 13, 3),
        [{**adam(2e-3), "ema": 0.5}],
        techniques=[known[name] for name in names],
        epochs=EPOCHS,
        snapshot=2,
    )
    train_pack(pack, EPOCHS)
    first, second = pack.plain_weights(0)
    assert not torch.equal(first["0.weight"], second["0.weight"])
