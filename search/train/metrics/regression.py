"""Metrics of predicted numbers, in the units of the data, batched over slots.

Shapes: `targets` are float64 ``rows x outputs``, `predictions` ``slots x rows x outputs``; results are ``(slots,)``. Of
several outputs each metric is the mean over outputs (scikit-learn's ``uniform_average``), except the RMSE.

`weights` are those of the rows, ``(rows,)``, scikit-learn's ``sample_weight``, or ``draws x 1 x rows`` for a result
``draws x slots`` (`search.train.metrics.bootstrap`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.train.metrics.sums import mean, total


def rmse(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the root of the mean of squared errors over rows and outputs.

    For one output this is `sklearn.metrics.root_mean_squared_error`, which takes the root for each output first.
    """
    squares = (predictions - targets).square()
    return mean(total(squares) / squares.shape[-1], weights).sqrt()


def mae(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean absolute error: `sklearn.metrics.mean_absolute_error`."""
    errors = (predictions - targets).abs()
    return mean(total(errors) / errors.shape[-1], weights)


def mape(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean of ``|prediction - target| / |target|``, as a share: `mean_absolute_percentage_error`.

    As in scikit-learn, a target of 0 counts as 2.2e-16, so that its error is huge: the metric is meant for targets that
    are not near 0.
    """
    errors = (predictions - targets).abs() / targets.abs().clamp(min=torch.finfo(torch.float64).eps)
    return mean(total(errors) / errors.shape[-1], weights)


def r2(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the coefficient of determination, ``1 - sum (y - p)^2 / sum (y - mean y)^2``: `sklearn.metrics.r2_score`.

    As in scikit-learn, an output whose targets are all equal counts 1 if it is predicted exactly, else 0, and one row
    alone has none: NaN.
    """
    if len(targets) < 2:
        return predictions.new_full((len(predictions),), torch.nan)
    by_output = targets.T.contiguous()
    rest = (predictions - targets).square().transpose(-1, -2).contiguous()
    if weights is not None:
        # Between the draws and the rows are slots and outputs.
        weights = weights[..., None, :] if weights.ndim > 1 else weights
    middle = mean(by_output, weights)[..., None]
    spread = (by_output - middle).square()
    left, whole = (total(one if weights is None else one * weights) for one in (rest, spread))
    # Targets that are equal have a spread of rounding errors.
    varies = (by_output != by_output[:, :1]).any(-1) & (whole > 0)
    explained = 1 - left / torch.where(varies, whole, 1.0)
    return total(torch.where(varies, explained, (left == 0).double())) / len(by_output)
