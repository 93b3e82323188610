"""Dropout drops the right share of units, and refuses a model without hidden units."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.packs import adam, make_pack

from search import RequestError, Study
from search.data import Data
from search.recipe import Recipe
from search.recipe.discovery import discover
from search.train.values import make_values

STRENGTHS = (0.0, 0.2, 0.7)


@pytest.mark.parametrize(("name", "number"), [("dropout", 2), ("input_dropout", 0)])
def test_shares_scales_and_nests(make_data: Callable[..., Data], name: str, number: int) -> None:
    """A share p is dropped, the rest is divided by 1 - p, and units dropped by a small p are dropped by a large one."""
    technique = discover()[name]
    pack = make_pack(
        make_data(100, 13, 3),
        [adam(**{name: p}) for p in STRENGTHS],
        techniques=[technique],
        replicates=(0, 1),
        hidden="12x20",
    )
    moment, (values,) = make_values(pack.program, pack.batches, pack.state, [slot.replicate for slot in pack.slots])
    ones = torch.ones(2 if number == 0 else 6, 400, 32)
    assert technique.layer is not None
    out = technique.layer(ones, number, values)
    assert out.shape == (6, 400, 32)
    for slot, p in enumerate(STRENGTHS * 2):
        kept = out[slot] != 0
        assert kept.double().mean().item() == pytest.approx(1 - p, abs=0.02)
        assert out[slot][kept].unique().tolist() == pytest.approx([1 / (1 - p)])
    assert (out[2] <= out[1] * 10).all()
    assert not torch.equal(out[1], out[4]), "replicates draw for themselves"
    assert technique.layer(ones, 0 if number else 1, values) is ones
    moment.train = False
    assert technique.layer(ones, number, values) is ones


def test_a_linear_model_has_no_units_to_drop() -> None:
    fields = {"name": "x", "techniques": ["dropout"], "data": {"dataset": "wine"}, "set": {"hidden": "0"}}
    with pytest.raises(RequestError, match=r"technique 'dropout': it needs a hidden layer, got hidden 0"):
        Study(Recipe.parse(fields, "test"), tracking_uri=None)
    Study(Recipe.parse(fields | {"techniques": ["input_dropout"]}, "test"), tracking_uri=None)
