"""Tests of the piecewise-linear encoding against the equation of its paper, number by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from objectives.numeric_embedding import edges
from search.data import PiecewiseLinear


def by_the_equation(x: float, b: Sequence[float]) -> list[float]:
    """Equation 1 of Gorishniy, Rubachev and Babenko (2022): b has the edges of T bins."""
    last = len(b) - 1
    encoded = []
    for t in range(1, last + 1):
        if x < b[t - 1] and t > 1:
            encoded.append(0.0)
        elif x >= b[t] and t < last:
            encoded.append(1.0)
        else:
            encoded.append((x - b[t - 1]) / (b[t] - b[t - 1]))
    return encoded


def table() -> Tensor:
    """Training rows: a normal, a skewed and a tied column, one of three values, an indicator, and a constant."""
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=300), rng.exponential(1e4, 300), rng.poisson(2.0, 300), rng.integers(0, 3, 300)]
    return torch.from_numpy(np.stack([*columns, rng.integers(0, 2, 300), np.full(300, 7.0)], 1)).float()


@pytest.mark.parametrize("bins", [2, 8, 33])
def test_each_number_is_that_of_the_equation(bins: int) -> None:
    train = table()
    rows = torch.cat([train[:40], 1.7 * train[:40] - 1, torch.tensor([[-1e6] * 6, [1e6] * 6])])
    encoding = PiecewiseLinear.of(edges(train, {"bins": bins}))
    expected = []
    for row in rows.double().tolist():
        encoded: list[float] = []
        for number, x in enumerate(row):
            quantiles = np.quantile(train[:, number].double().numpy(), np.arange(bins + 1) / bins).astype(np.float32)
            b = np.unique(quantiles).tolist()
            encoded += by_the_equation(x, b) if len(b) > 2 else [x]
        expected.append(encoded)
    encoded_rows = encoding.apply(rows)
    np.testing.assert_allclose(encoded_rows.numpy(), np.array(expected), rtol=1e-5, atol=1e-5)
    assert encoding.width == encoded_rows.shape[1]
    assert encoding.encoded == (4 if bins > 2 else 4 - int((train[:, 3].quantile(0.5) == train[:, 3].max()).item()))
    torch.testing.assert_close(encoding.invert(encoded_rows), rows, rtol=1e-4, atol=1e-2)


def test_three_bins_by_hand() -> None:
    encoding = PiecewiseLinear.of([torch.tensor([0.0, 1.0, 3.0, 4.0]), torch.tensor([0.0, 9.0])])
    rows = torch.tensor([[-2.0, 5.0], [0.0, 6.0], [2.0, 7.0], [3.0, 8.0], [6.0, 9.0]])
    by_hand = [[-2, 0, 0, 5], [0, 0, 0, 6], [1, 0.5, 0, 7], [1, 1, 0, 8], [1, 1, 3, 9]]
    assert encoding.apply(rows).tolist() == by_hand
    assert encoding.invert(encoding.apply(rows)).tolist() == rows.tolist()


def test_equal_and_nearly_equal_quantiles_count_once() -> None:
    tied = torch.tensor([0.0] * 90 + [1.0] * 5 + [2.0] * 5)[:, None]
    assert [one.tolist() for one in edges(tied, {"bins": 4})] == [[0.0, 2.0]]
    tiny = torch.arange(9.0)[:, None] * 1e-39
    assert [len(one) for one in edges(tiny, {"bins": 8})] == [1]
