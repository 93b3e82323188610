"""Max-norm keeps the bits of vectors within the bound, and scales the others as `torch.renorm` does."""

from __future__ import annotations

import torch
from support.data import random_data
from support.packs import make_pack

from search.recipe.discovery import discover
from search.technique import Technique


def test_columns_beyond_the_bound_are_scaled_and_no_other_number_moves() -> None:
    frozen = Technique(name="frozen", gradient=lambda gradient, _weights, _values: gradient.zero_())
    bound = 0.55
    pack = make_pack(
        random_data(100, 13, 3),
        [{"lr": 0.1, "max_norm": bound}, {"lr": 0.1, "max_norm": 0.2}],
        techniques=[frozen, discover()["max_norm"]],
        optimizer="sgd",
        batch_size=100,
        dtype=torch.float64,
    )
    before = {name: weight.clone() for name, weight in pack.weights(0).items()}
    measured = pack.run_epoch()
    beyond = within = 0
    for name, after in pack.weights(0).items():
        if name.endswith("bias"):
            assert torch.equal(after, before[name])
            continue
        expected = torch.renorm(before[name], 2, 0, bound)
        for row, was, like in zip(after, before[name], expected, strict=True):
            if was.norm() > bound:
                torch.testing.assert_close(row, like, rtol=1e-6, atol=0)
                beyond += 1
            else:
                assert torch.equal(row, was)
                within += 1
    assert beyond > 3
    assert within > 3
    assert measured["max_norm_share"].tolist() == [beyond / 15, 1.0]
