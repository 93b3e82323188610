"""Sharpness-aware minimisation takes the gradient where the loss is largest nearby, so that it seeks flat minima.

    w' = w + sam * g(w) / |g(w)|        w <- optimiser's step from w with g(w')

g is the gradient of a minibatch's training loss, with penalties, in all weights and biases together; |.| is the
Euclidean norm. A step takes two passes over its minibatch with the same random draws; the second one leaves the running
estimates of batch normalisation as they are. `train_loss` is that at w.

Shapes: weights and gradients ``slots x size``. Hyperparameters searched: the radius, named `sam`.

Source: Foret et al., "Sharpness-aware minimization for efficiently improving generalization" (ICLR 2021), algorithm 1
with p = 2.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values

_LEAST = 1e-12
"""The smallest norm that is divided by, so that a gradient of 0 changes no weight."""


def climb(weights: Tensor, gradient: Tensor, values: Values) -> Tensor:
    """Return the weights ``slots x size`` at a distance of `sam`, uphill."""
    norm = gradient.square().sum(1, keepdim=True).sqrt().clamp(min=_LEAST)
    return weights + values["sam"][:, None] * (gradient / norm)


technique = Technique(
    name="sam",
    hyperparameters={"sam": Numeric(low=5e-3, high=0.5, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    perturb_weights=climb,
)
