"""Input noise adds Gaussian noise to the inputs of training examples, anew for each example and step.

``x <- x + input_noise * n``, n standard normal. Noise is added to pixels as values in [0, 1], and the result is clamped
to [0, 1]; other features get noise as the network takes them, so that 1 is one standard deviation of a feature that is
standardised. For small noise and a squared loss this is a penalty on the gradient of the network in its inputs.
Validation and test examples are not changed. All trials of a replicate share the draws.

Shapes: inputs ``groups or slots x batch x features`` to ``slots x batch x features``. Hyperparameters searched: the
standard deviation, named `input_noise`.

Source: Bishop, "Training with noise is equivalent to Tikhonov regularization" (Neural Computation 7, 1995).
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values


def add_noise(x: Tensor, values: Values) -> Tensor:
    """Return inputs with noise, ``slots x batch x padded features``; the padding stays 0."""
    noise = values.normal("noise", *x.shape[1:])
    noise[..., values.layout.features :].zero_()
    noisy = values.per_slot(x) + values["input_noise"][:, None, None] * noise
    return noisy.clamp_(0.0, 1.0) if values.inputs.pixels else noisy


technique = Technique(
    name="input_noise",
    hyperparameters={"input_noise": Numeric(low=1e-3, high=1.0, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    input=add_noise,
)
