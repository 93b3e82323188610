"""Soft thresholding gives exact zeros, which the L1 penalty does not."""

from __future__ import annotations

import torch
from support.data import random_data
from support.packs import adam, make_pack

from search.data import load
from search.recipe.discovery import discover
from search.technique import Numeric, Technique


def ends(technique: Technique) -> tuple[float, float]:
    """Return the ends of the range that a study of the technique searches."""
    declared = technique.hyperparameters[technique.name]
    assert isinstance(declared, Numeric)
    assert declared.low is not None
    assert declared.high is not None
    return declared.low, declared.high


def test_most_weights_of_digits_can_be_exact_zeros_but_not_by_the_penalty() -> None:
    penalty, threshold = ends(discover()["l1"]), ends(discover()["l1_prox"])
    strengths = [(penalty[0], 0.0), ((penalty[0] * penalty[1]) ** 0.5, 0.0), (penalty[1], 0.0)]
    strengths += [(0.0, threshold[0]), (0.0, threshold[1])]
    pack = make_pack(
        load("digits"),
        [adam(1e-3, l1=l1, l1_prox=l1_prox) for l1, l1_prox in strengths],
        techniques=[discover()["l1"], discover()["l1_prox"]],
        hidden="128x128",
        batch_size=128,
        l1_prox_step="lambda",
    )
    curves = [pack.run_epoch() for _ in range(80)]
    *others, strongest = torch.stack([measured["sparsity"] for measured in curves]).amax(0).tolist()
    assert max(others) < 0.05
    assert strongest > 0.9
    weights = torch.cat([weight.flatten() for weight in pack.weights(4).values()])
    assert (weights == 0).double().mean() > 0.9
    assert curves[-1]["val_accuracy"][4] > 0.8, "it still classifies"


def test_weights_of_either_sign_shrink_or_become_plus_zero() -> None:
    frozen = Technique(name="frozen", gradient=lambda gradient, _weights, _values: gradient.zero_())
    slots = [{"lr": 0.1, "l1_prox": 0.25}, {"lr": 0.1, "l1_prox": 0.0}]
    pack = make_pack(
        random_data(100, 13, 3),
        slots,
        techniques=[frozen, discover()["l1_prox"]],
        optimizer="sgd",
        batch_size=100,
        l1_prox_step="lambda",
    )
    given = torch.tensor([0.75, -0.75, 0.25, -0.25, 0.125, -0.125, 0.0, -0.0])
    pack.state["theta"].zero_()
    pack.state["theta"][:, :8] = given
    pack.run_epoch()
    thresholded, untouched = pack.state["theta"][:, :8]
    assert thresholded.tolist() == [0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert not thresholded[2:].signbit().any()
    assert torch.equal(untouched, given)
    assert not pack.state["theta"][:, 8:].any(), "padding and the other weights stay 0"
