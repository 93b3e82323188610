"""L1 penalty on all weights.

``objective_s = loss_s + l1_s * sum_i |w_si|``, over every trainable parameter of slot s, biases too. The gradient is
``l1_s * sign(w_si)``, 0 where ``w_si`` is 0: a step passes over 0 and back, so weights become small but hardly ever 0.
Exact zeros take `l1_prox`.

Shapes: weights ``slots x size`` to ``(slots,)``. Sampled: the strength `l1`.

Source: Tibshirani, "Regression shrinkage and selection via the lasso" (JRSS B 1996).
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values


def penalty(weights: Tensor, values: Values) -> Tensor:
    """``l1 * sum of absolute values``: weights ``slots x size`` to ``(slots,)``."""
    return values["l1"] * weights.abs().sum(1)


technique = Technique(
    name="l1",
    hyperparameters={"l1": Numeric(low=1e-6, high=1e-2, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    penalty=penalty,
)
