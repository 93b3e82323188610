"""L1 by soft thresholding shrinks the weights after each step and sets small ones to exactly zero.

``w <- sign(w) * max(|w| - t, 0)`` for every trainable parameter, biases too. This is the proximal operator of
``t * sum_i |w_i|``. The threshold is ``t = l1_prox`` or, if `l1_prox_step` is "lr*lambda", ``t = lr * l1_prox``.

With plain SGD, "lr*lambda" is the proximal gradient method for the objective of `l1`. With an optimiser that adapts the
step to each weight, both thresholds are applied after its step, and the result does not minimise that objective. At a
learning rate of 1e-3, a threshold ``t = l1_prox`` is as strong as "lr*lambda" with an `l1_prox` 1000 times larger, so
move the range to search "lr*lambda".

Shapes: weights ``slots x size``, in place. Hyperparameters searched: `l1_prox`; `l1_prox_step` is "lambda" unless a
study sets it.

Source: Tibshirani, "Regression shrinkage and selection via the lasso" (JRSS B 1996); Parikh and Boyd, "Proximal
algorithms" (Foundations and Trends in Optimization 2014), 4.2 and 6.5.2; `torch.nn.Softshrink` of the weights.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Structural, Technique, Values


def project(weights: Tensor, values: Values) -> None:
    """Apply soft thresholding to weights ``slots x size`` in place."""
    threshold = values["l1_prox"][:, None]
    if values.structure["l1_prox_step"] == "lr*lambda":
        threshold = threshold * values.lr
    # This equals sign(w) * max(|w| - t, 0), except that it gives +0 instead of -0.
    weights.sub_(weights.clamp(-threshold, threshold))


technique = Technique(
    name="l1_prox",
    hyperparameters={
        "l1_prox": Numeric(low=1e-6, high=1e-3, log=True, minimum=0.0, neutral=0.0, stronger="up"),
        "l1_prox_step": Structural(default="lambda", choices=("lambda", "lr*lambda")),
    },
    project=project,
)
