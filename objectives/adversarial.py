"""Adversarial training adds examples that are changed a little in the direction in which their loss grows fastest.

    x' = x + adversarial * sign(dL/dx)        g = (g(x) + g(x')) / 2

L is the training loss of the minibatch at its inputs x, and g its gradient in the weights: the fast gradient sign
method, in which clean and changed examples count alike. Inputs are changed in the units of `input_noise`: pixels as
values in [0, 1], to which the result is clamped; other features as the network takes them, so that 1 is one standard
deviation of a feature that is standardised. A step takes two passes over its minibatch with the same random draws; the
second one leaves the running estimates of batch normalisation as they are. `train_loss` is that of the clean examples.

Shapes: inputs and their gradient, ``slots x batch x padded features``. Hyperparameters searched: the size of the
change, named `adversarial`.

Source: Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples" (ICLR 2015), section 6, with
alpha = 0.5.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values


def climb(x: Tensor, slope: Tensor, values: Values) -> Tensor:
    """Return the changed inputs, ``slots x batch x padded features``; the padding, whose gradient is 0, stays 0."""
    # A factor above 0 leads from units to inputs, so the sign of the gradient is the same in both.
    changed = values.inputs.unit(x) + values["adversarial"][:, None, None] * slope.sign()
    return values.inputs.scaled(changed.clamp_(0.0, 1.0) if values.inputs.pixels else changed)


technique = Technique(
    name="adversarial",
    hyperparameters={"adversarial": Numeric(low=1e-3, high=0.5, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    perturb_inputs=climb,
)
