"""Dropout drops the right share of units, and refuses a model without hidden units."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.packs import adam, make_pack

from objectives.dropout import SHAPES, factor
from search import RequestError, Study
from search.data import Data
from search.recipe import Recipe
from search.recipe.discovery import discover
from search.train.values import make_values

STRENGTHS = (0.0, 0.2, 0.7)
HEXAGON_OF_8 = [333, 667, 1000, 1000, 1000, 1000, 667, 333]


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


@pytest.mark.parametrize(
    ("shape", "by_layers"),
    [
        # What Auto-PyTorch's `get_shaped_neuron_counts(shape, 0, 0, 1000, layers + 1)` gives to the hidden layers, of
        # 1000, for numbers of layers at which it does not round.
        ("brick", {1: [1000], 3: [1000, 1000, 1000]}),
        ("funnel", {1: [1000], 2: [1000, 500], 4: [1000, 750, 500, 250], 5: [1000, 800, 600, 400, 200]}),
        ("triangle", {1: [1000], 2: [500, 1000], 5: [200, 400, 600, 800, 1000]}),
        (
            "stairs",
            {1: [1000], 2: [1000, 1000], 4: [1000, 1000, 500, 500], 5: [1000, 600, 600, 200, 200]},
        ),
        (
            "long_funnel",
            {1: [1000], 2: [1000, 1000], 4: [1000, 1000, 1000, 500], 7: [1000] * 4 + [1000, 667, 333]},
        ),
        (
            "diamond",
            {
                1: [1000],
                2: [1000, 500],
                3: [500, 1000, 500],
                4: [500, 1000, 667, 333],
                7: [250, 500, 750, 1000, 750, 500, 250],
                8: [250, 500, 750, 1000, 800, 600, 400, 200],
            },
        ),
        (
            "hexagon",
            {1: [1000], 2: [1000, 1000], 4: [1000] * 4, 5: [500, 1000, 1000, 1000, 500], 8: HEXAGON_OF_8},
        ),
    ],
)
def test_shapes_are_those_of_auto_pytorch(shape: str, by_layers: dict[int, list[int]]) -> None:
    for layers, counts in by_layers.items():
        found = [factor(shape, number, layers) for number in range(1, layers + 1)]
        assert found == pytest.approx([count / 1000 for count in counts], abs=5e-4), layers


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_reaches_the_whole_of_p_and_never_more(shape: str) -> None:
    for layers in range(1, 33):
        found = [factor(shape, number, layers) for number in range(1, layers + 1)]
        assert max(found) == 1
        assert min(found) > 0


def test_a_shape_needs_two_hidden_layers() -> None:
    fields = {"name": "x", "techniques": ["dropout"], "data": {"dataset": "wine"}}
    fixed = {"hidden": "16", "dropout_shape": "funnel"}
    with pytest.raises(RequestError, match="dropout_shape funnel needs two hidden layers or more: with hidden 16"):
        Study(Recipe.parse(fields | {"set": fixed}, "test"), tracking_uri=None)
    Study(Recipe.parse(fields | {"set": fixed | {"hidden": "16x16"}}, "test"), tracking_uri=None)
    Study(Recipe.parse(fields | {"set": {"hidden": "16"}}, "test"), tracking_uri=None)
