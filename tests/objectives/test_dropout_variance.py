"""The variance penalty needs one of the two kinds of dropout, and reduces the variance of predictions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.packs import adam, make_pack

from search import RequestError, Study
from search.data import Data
from search.recipe import Recipe
from search.recipe.discovery import discover


def test_without_dropout_it_is_refused() -> None:
    fields = {"name": "x", "techniques": ["l2", "dropout_variance"], "data": {"dataset": "wine"}}
    with pytest.raises(
        RequestError, match=r"it needs dropout or input_dropout in the same study, got l2\+dropout_variance"
    ):
        Study(Recipe.parse(fields, "test"), tracking_uri=None)
    once = fields | {"techniques": ["dropout", "dropout_variance"], "set": {"dropout_variance_passes": 1}}
    with pytest.raises(RequestError, match="dropout_variance_passes takes a whole number >= 2, got 1"):
        Study(Recipe.parse(once, "test"), tracking_uri=None)
    Study(Recipe.parse(fields | {"set": {"dropout_variance": 0.0}}, "test"), tracking_uri=None)
    Study(Recipe.parse(fields | {"techniques": ["input_dropout", "dropout_variance"]}, "test"), tracking_uri=None)


@pytest.mark.parametrize("noise", ["dropout", "input_dropout"])
def test_the_stronger_the_steadier(make_data: Callable[..., Data], noise: str) -> None:
    """The penalty divided by its strength, which is the variance, falls from slot to slot."""
    strengths = (0.01, 10.0, 1000.0)
    pack = make_pack(
        make_data(100, 13, 3),
        [adam(1e-2, **{noise: 0.3}, dropout_variance=strength) for strength in strengths],
        techniques=[discover()[noise], discover()["dropout_variance"]],
        dropout_variance_passes=2,
    )
    for _ in range(10):
        measured = pack.run_epoch()
    terms = (measured["train_objective"] - measured["train_loss"]).tolist()
    variances = [term / strength for term, strength in zip(terms, strengths, strict=True)]
    assert variances[0] > 1.2 * variances[1] > 1.2 * 1.2 * variances[2] > 0
