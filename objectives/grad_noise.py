"""Gradient noise adds Gaussian noise to the gradient, which fades as training goes on.

``g <- g + sqrt(grad_noise / (1 + t)^0.55) * n`` before step t of the optimiser, counted from 0. n is standard normal,
drawn anew for each weight and bias in each step, and the same for all trials of a replicate.

Shapes: the gradient ``slots x size``, in place. Hyperparameters searched: the variance at the first step, named
`grad_noise`.

Source: Neelakantan et al., "Adding gradient noise improves learning for very deep networks" (2015), equation 1, whose
exponent is 0.55 and whose variances are 0.01, 0.3 and 1.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values

_DECAY = 0.55


def gradient(gradient: Tensor, _weights: Tensor, values: Values) -> None:
    """Add noise to the gradient of every parameter, in place; the padding stays 0."""
    step = values.epoch * values.steps + values.step
    deviation = (values["grad_noise"] / (1 + step) ** _DECAY).sqrt()
    for field in values.layout.fields:
        mine = values.layout.view(gradient, field)[field.inner]
        mine.add_(deviation.view(-1, *[1] * len(field.shape)) * values.normal(field.name, *field.shape))


technique = Technique(
    name="grad_noise",
    hyperparameters={"grad_noise": Numeric(low=1e-4, high=1.0, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    gradient=gradient,
)
