"""The L2 penalty adds the sum of the squared weights to the loss.

``objective_s = loss_s + l2_s * sum_i w_si^2``, over every trainable parameter of slot s, biases too. It equals coupled
weight decay of 2 * l2, which is added to the gradient (SGD, Adam). It does not equal decoupled weight decay (AdamW),
because Adam divides the gradient of the penalty, like that of the loss, by its running moments.

Shapes: weights ``slots x size`` to ``(slots,)``. Hyperparameters searched: the strength `l2`.

Source: Hoerl and Kennard, "Ridge regression" (Technometrics 1970); for Adam, Loshchilov and Hutter, "Decoupled weight
decay regularization" (ICLR 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, Technique, Values


def penalty(weights: Tensor, values: Values) -> Tensor:
    """Return ``l2 * sum of squares``, ``(slots,)``, of weights ``slots x size``."""
    size: Tensor = torch.linalg.vector_norm(weights, dim=1).square()
    return values["l2"] * size


technique = Technique(
    name="l2",
    hyperparameters={"l2": Numeric(low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    penalty=penalty,
    powers={2: "l2"},
)
