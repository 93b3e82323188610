"""The elastic net is a recipe of two techniques, and its objective is the loss with both penalties."""

from __future__ import annotations

import torch
from reference import train
from support.data import random_data
from support.packs import adam, agree, packed

from search.recipe import Recipe
from search.recipe.discovery import discover


def test_the_recipe_trains_with_both_penalties() -> None:
    recipe = Recipe.load("elastic_net")
    data = random_data(100, 13, 3)
    slots = [adam(1e-2, l1=1e-3, l2=1e-2), adam(1e-2, l1=1e-4, l2=0.1)]
    pack = packed(data, slots, techniques=[discover()[name] for name in recipe.techniques])
    for slot, values in enumerate(slots):
        model, curves = train(
            data,
            widths=(13, 12, 3),
            epochs=3,
            batch_size=32,
            optimiser=lambda weights: torch.optim.Adam(weights, lr=1e-2),
            penalty=lambda weights, v=values: sum(v["l1"] * w.abs().sum() + v["l2"] * (w * w).sum() for w in weights),
        )
        agree(pack, slot, model, curves)
