"""An exponential moving average of the weights, updated at each step, is what a network is evaluated with.

``average <- ema * average + (1 - ema) * w`` after each step, from the weights after the first step. Training itself is
not changed. Running estimates of batch normalisation are averaged alike.

Shapes: the share of the weights in the average is ``(slots,)``. Hyperparameters searched: the decay, named `ema`.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992), with exponential weights;
Morales-Brotons et al., "Exponential moving average of weights in deep learning" (TMLR 2024);
`torch.optim.swa_utils.get_ema_multi_avg_fn` with ``use_buffers=True``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, Technique, Values


def average(step: int, _steps: int, values: Values) -> Tensor:
    """Return the share of the weights in the average, ``(slots,)``."""
    decay = values["ema"]
    return torch.ones_like(decay) if step == 0 else 1 - decay


technique = Technique(
    name="ema",
    hyperparameters={"ema": Numeric(low=0.9, high=0.999, minimum=0.0, below=1.0, neutral=0.0, stronger="up")},
    average=average,
)
