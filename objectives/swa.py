"""Stochastic weight averaging evaluates a network with the mean of its weights at the ends of late epochs.

After ``f = max(1, round(swa_start E))`` of E epochs, the weights of every `swa_length`-th epoch enter the mean; before,
the network is evaluated with its own weights:

    average <- w                                  up to epoch f
    average <- average + (w - average) / (n + 1)  at epochs f + n swa_length,  n = 1, 2 ...

Training itself is not changed. Running estimates of batch normalisation are averaged alike. The learning rate is not
changed either: it should stay large where averaging begins (a constant rate, or one that does not fall to 0).

Shapes: the share of the weights in the average is ``(slots,)``. Hyperparameters searched: the share of the epochs after
which averaging begins, named `swa_start`; `swa_length` is 1 unless a study sets or searches it.

Source: Izmailov et al., "Averaging weights leads to wider optima and better generalization" (UAI 2018), with cycles of
`swa_length` epochs; `torch.optim.swa_utils.AveragedModel` with ``use_buffers=True``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Refuse studies whose epochs end before a second network enters the average."""
    epochs = min(int(value) for value in context.possible("epochs"))
    start, length = (min(float(value) for value in context.possible(name)) for name in ("swa_start", "swa_length"))
    # The smallest values count: if a range goes beyond the epochs, its smaller values still take effect.
    if length > epochs:
        raise ValueError(f"swa_length must be <= epochs ({epochs}), got {length:g}")
    if start < 1 and max(1, round(start * epochs)) + length > epochs:
        raise ValueError(
            f"with swa_start {start:g} and swa_length {length:g}, {epochs} epochs end before two networks are averaged:"
            " begin earlier or train longer"
        )


def average(step: int, steps: int, values: Values) -> Tensor:
    """Return the share of the weights in the average, ``(slots,)``; it is 0 but at the ends of epochs."""
    epoch, epochs = step // steps + 1, int(values.structure["epochs"])
    if (step + 1) % steps:
        return torch.zeros_like(values["swa_start"])
    since = epoch - (values["swa_start"].double() * epochs).round().clamp(min=1.0)
    length = values["swa_length"].double()
    number = torch.div(since, length, rounding_mode="floor")
    share = torch.where(since == number * length, 1 / (number + 1), 0.0)
    return torch.where(since <= 0, 1.0, share).to(values.dtype)


technique = Technique(
    name="swa",
    hyperparameters={
        "swa_start": Numeric(default=0.75, low=0.4, high=0.95, minimum=0.0, maximum=1.0, neutral=1.0, stronger="down"),
        "swa_length": Numeric(default=1, minimum=1, whole=True),
    },
    check=check,
    average=average,
)
