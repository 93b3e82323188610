"""The share of a mixture has the Beta distribution, in every slot the same bits; what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import betainc
from support.data import random_data
from support.packs import adam, make_pack, train_pack

from objectives.mixup import quantile
from search import RequestError, Study
from search.recipe import Recipe
from search.recipe.discovery import discover

DRAWS = (torch.arange(4096, dtype=torch.float64) + 0.5) / 4096


def shares(alpha: float) -> torch.Tensor:
    return quantile(DRAWS, torch.full_like(DRAWS, alpha))


def test_closed_forms_of_the_quantile() -> None:
    torch.testing.assert_close(shares(1.0), DRAWS, rtol=1e-12, atol=0)
    torch.testing.assert_close(shares(0.5), (math.pi * DRAWS / 2).sin().square(), rtol=1e-12, atol=0)
    two = shares(2.0)
    torch.testing.assert_close(3 * two**2 - 2 * two**3, DRAWS, rtol=1e-12, atol=0)


@pytest.mark.parametrize("alpha", [1e-3, 0.05, 0.2, 3.0, 50.0, 1e6])
def test_it_inverts_the_distribution_and_is_symmetric(alpha: float) -> None:
    found = shares(alpha)
    assert (found.diff() > -1e-300).all()
    assert ((found >= 0) & (found <= 1)).all()
    torch.testing.assert_close(found + found.flip(0), torch.ones_like(found), rtol=0, atol=1e-12)
    # Where a share is as good as 0 or 1, many draws have it.
    inner = (found > 1e-300) & (found < 0.99)
    back = torch.from_numpy(betainc(alpha, alpha, found[inner].numpy()))
    torch.testing.assert_close(back, DRAWS[inner], rtol=1e-6, atol=1e-9)


def test_the_ends_of_alpha() -> None:
    """alpha 0 does not mix at all, as in the authors' code; a tiny one takes either row, a huge one mixes halves."""
    assert (shares(0.0) == 1).all()
    assert shares(1e-300).unique().tolist() == pytest.approx([0, 1], abs=1e-300)
    assert shares(1e100).unique().tolist() == pytest.approx([0.5])


def test_all_slots_of_a_replicate_mix_with_the_same_partners_by_their_own_share() -> None:
    """Of two slots with one draw, the one with the larger alpha has the share nearer to one half."""
    pack = make_pack(
        random_data(100, 13, 3),
        [adam(mixup=alpha) for alpha in (0.1, 1.0, 5.0)],
        techniques=[discover()["mixup"]],
        replicates=(0, 1),
    )
    train_pack(pack, 1)
    lam = pack.state["technique:mixup/lam"]
    for first in (0, 3):
        distances = (lam[first : first + 3] - 0.5).abs()
        assert (distances.diff() < 0).all()
        assert ((lam[first : first + 3] > 0.5) == (lam[first] > 0.5)).all()
    assert lam[1] != lam[4], "replicates draw for themselves"


def recipe(**changes: object) -> Recipe:
    return Recipe.parse({"name": "x", "techniques": ["mixup"], "data": {"dataset": "diabetes"}} | changes, "test")


def test_a_regression_needs_the_squared_error() -> None:
    assert Study(recipe(), tracking_uri=None).loss == "mse"
    says = "technique 'mixup': it needs loss mse in a regression, because it mixes targets, got loss huber"
    with pytest.raises(RequestError, match=says):
        Study(recipe(loss="huber"), tracking_uri=None)
    # A study that fixes it at 0 does not use it.
    Study(recipe(loss="huber", set={"mixup": 0.0}, space={"lr": {"low": 1e-3, "high": 1e-1}}), tracking_uri=None)
