"""The L1 penalty adds the sum of the weights' absolute values to the loss.

``objective_s = loss_s + l1_s * sum_i |w_si|``, over every trainable parameter of slot s, biases too. The gradient of
the penalty is ``l1_s * sign(w_si)``, and 0 if ``w_si`` is 0. Steps overshoot 0 in both directions, so weights become
small but hardly ever exactly 0. For exact zeros use `l1_prox`.

Shapes: weights ``slots x size`` to ``(slots,)``. Hyperparameters searched: the strength `l1`.

Source: Tibshirani, "Regression shrinkage and selection via the lasso" (JRSS B 1996).
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, Technique, Values


def penalty(weights: Tensor, values: Values) -> Tensor:
    """Return ``l1 * sum of absolute values``, ``(slots,)``, of weights ``slots x size``."""
    size: Tensor = torch.linalg.vector_norm(weights, 1, dim=1)
    return values["l1"] * size


technique = Technique(
    name="l1",
    hyperparameters={"l1": Numeric(low=1e-6, high=1e-2, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    penalty=penalty,
    powers={1: "l1"},
)
