"""Gradient clipping bounds the Euclidean norm of a network's gradient.

``g <- g * min(1, grad_clip / |g|)`` before each step of the optimiser, where g is the gradient of the loss and of every
penalty in all weights and biases together. A gradient within the bound is unchanged, to the bit.

Shapes: the gradient ``slots x size``, in place. Hyperparameters searched: the bound, named `grad_clip`.

Source: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (ICML 2013);
`torch.nn.utils.clip_grad_norm_`, without the 1e-6 that it adds to the norm it divides by.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, Technique, Values


def gradient(gradient: Tensor, _weights: Tensor, values: Values) -> None:
    """Scale gradients beyond the bound, in place."""
    norm, bound = gradient.square().sum(1, keepdim=True).sqrt(), values["grad_clip"][:, None]
    gradient.mul_(torch.where(norm > bound, bound / norm, 1.0))


technique = Technique(
    name="grad_clip",
    hyperparameters={
        "grad_clip": Numeric(low=0.03, high=10.0, log=True, above=0.0, neutral=float("inf"), stronger="down")
    },
    gradient=gradient,
)
