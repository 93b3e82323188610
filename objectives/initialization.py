"""Initialisation searches the distribution of the initial weights, by scheme and gain.

Each weight matrix (n inputs, m outputs) is drawn from a uniform or normal distribution of mean 0 and standard deviation

    default   gain / sqrt(3 n)              uniform; biases likewise, without the gain, as in `torch.nn.Linear`
    xavier    gain sqrt(2 / (n + m))        biases 0
    kaiming   gain g / sqrt(n)              biases 0; g = sqrt(2) for relu, sqrt(2 / (1 + 0.01^2)) for leaky_relu, 5/3
                                            for tanh, 1 for gelu, for which torch defines no gain

All schemes map the same unit draws, so that trials of a replicate start from paired points. A technique's own vectors,
such as those of batch normalisation, are not changed.

Shapes: weights ``slots x inputs x outputs``. Hyperparameters searched: the scheme `initialization` and `gain`.

Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (AISTATS 2010);
He et al., "Delving deep into rectifiers" (ICCV 2015); `torch.nn.init`, fan_in for Kaiming.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from search.technique import Numeric, Structural, Technique, Values

if TYPE_CHECKING:
    from search.technique import Field

# As in torch.nn.init.calculate_gain, which has no gelu.
_GAINS = {"leaky_relu": math.sqrt(2 / (1 + 0.01**2)), "relu": math.sqrt(2), "tanh": 5 / 3, "gelu": 1.0}


def init(current: Tensor, unit: Tensor, field: Field, values: Values) -> Tensor:
    """Return weights ``slots x inputs x outputs``, or biases ``slots x outputs``, by the scheme."""
    scheme = str(values.structure["initialization"])
    if field.kind == "bias":
        return current if scheme == "default" else torch.zeros_like(current)
    if field.kind != "weight":
        return current
    gain = values["gain"][:, None, None]
    if scheme == "default":
        return current * gain
    inputs, outputs = field.shape
    family, _, shape = scheme.partition("_")
    if family == "xavier":
        deviation = math.sqrt(2 / (inputs + outputs))
    else:
        deviation = _GAINS[str(values.structure["activation"])] / math.sqrt(inputs)
    standard = values.quantile(unit) if shape == "normal" else (2 * unit - 1) * math.sqrt(3)
    return standard * (gain * deviation)


technique = Technique(
    name="initialization",
    hyperparameters={
        "initialization": Structural(
            default="kaiming_uniform",
            choices=("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"),
            neutral="default",
            searched=True,
        ),
        "gain": Numeric(low=0.25, high=4.0, log=True, above=0.0, neutral=1.0),
    },
    init=init,
)
