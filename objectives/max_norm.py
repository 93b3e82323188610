"""Max-norm bounds the norm of each neuron's incoming weights.

``w_j <- w_j * min(1, max_norm / |w_j|)`` after each step, where w_j are the incoming weights of neuron j. It applies to
every neuron, including those of the output layer, but not to biases. A vector within the bound is
unchanged, to the bit.

Shapes: each layer's weights ``slots x inputs x outputs``, in place; a neuron's vector is a column. Hyperparameters
searched: the bound, named `max_norm`. Metric recorded: `max_norm_share`, the share of neurons at the bound.

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 2014), section 5.1;
`torch.renorm`, without the 1e-7 that it adds to the norm it divides by.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import LargestNorm, Numeric, Technique, Values
from search.technique.norms import norms

# Rounding may leave a vector that was scaled to the bound slightly below it.
_AT_BOUND = 1 - 1e-5


def metrics(weights: Tensor, values: Values) -> dict[str, Tensor]:
    """Return the share of neurons at the bound, ``(slots,)``."""
    layout, bound = values.layout, values["max_norm"][:, None, None] * _AT_BOUND
    each = [layout.weight(number) for number in range(len(layout.linears))]
    at_bound = [norms(layout.view(weights, weight)) >= bound for weight in each]
    return {"max_norm_share": torch.cat(at_bound, 2).sum((1, 2)).double() / sum(weight.shape[1] for weight in each)}


technique = Technique(
    name="max_norm",
    hyperparameters={
        "max_norm": Numeric(low=0.3, high=4.0, log=True, above=0.0, neutral=float("inf"), stronger="down")
    },
    project=LargestNorm("max_norm"),
    metrics=metrics,
)
