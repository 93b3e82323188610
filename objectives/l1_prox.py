"""L1 by soft thresholding: weights are pulled to exact zeros after each step.

``w <- sign(w) * max(|w| - t, 0)`` on every trainable parameter, biases too, with ``t = l1_prox`` or, where
`l1_prox_step` is "lr*lambda", ``t = lr * l1_prox``: the proximal operator of ``t * sum_i |w_i|``. With plain SGD the
second is the proximal-gradient method for the objective of `l1`; with an optimiser that adapts the step to each weight,
both are soft thresholding after its step, not the minimiser of that objective. A threshold that does not shrink with
the learning rate is, at a rate of 1e-3, as strong as a lambda 1000 times larger: to search "lr*lambda", move the range.

Shapes: weights ``slots x size``, in place. Sampled: `l1_prox`, for the threshold that does not depend on the rate.

Source: Tibshirani, "Regression shrinkage and selection via the lasso" (JRSS B 1996); Parikh and Boyd, "Proximal
algorithms" (Foundations and Trends in Optimization 2014), 4.2 and 6.5.2; `torch.nn.Softshrink` of the weights.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Structural, Technique, Values


def project(weights: Tensor, values: Values) -> None:
    """Soft thresholding of weights ``slots x size`` in place."""
    threshold = values["l1_prox"][:, None]
    if values.structure["l1_prox_step"] == "lr*lambda":
        threshold = threshold * values.lr
    # The same number as sign(w) * max(|w| - t, 0), and +0 where that is -0.
    weights.sub_(weights.clamp(-threshold, threshold))


technique = Technique(
    name="l1_prox",
    hyperparameters={
        "l1_prox": Numeric(low=1e-6, high=1e-3, log=True, minimum=0.0, neutral=0.0, stronger="up"),
        "l1_prox_step": Structural(default="lambda", choices=("lambda", "lr*lambda")),
    },
    project=project,
)
