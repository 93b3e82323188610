"""A snapshot ensemble is the networks at the ends of the cycles of a learning rate, which predict together.

The rate falls along half a cosine in each of M cycles and starts again. With t from 0 of T steps in all and cycles of
``L = ceil(T / M)`` steps:

    rate_t = lr (1 + cos(pi (t mod L) / L)) / 2

With one cycle this is cosine annealing of one network. A prediction is the mean of the probabilities (or values) of M
networks: those at the ends of the cycles so far, and the present one in place of each that is still to come.

Shapes: the factor on the rate is ``(slots,)``; the shares of the weights in the networks are ``M x slots``.
Hyperparameters searched: none by default; the recipe searches the number of cycles M, named `snapshot`.

Source: Huang et al., "Snapshot ensembles: train 1, get M for free" (ICLR 2017), equation 2;
`torch.optim.lr_scheduler.CosineAnnealingWarmRestarts` with T_0 = L, stepped once a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Structural, StudyContext, Technique, Value, Values


def check(context: StudyContext) -> None:
    """Refuse more cycles than epochs."""
    epochs = min(int(value) for value in context.possible("epochs"))
    cycles = max(int(value) for value in context.possible("snapshot"))
    if cycles > epochs:
        raise ValueError(f"snapshot must be <= epochs ({epochs}), got {cycles} cycles")


def cycles(structure: Mapping[str, Value]) -> int:
    """Return the number of networks that predict together."""
    return int(structure["snapshot"])


def _length(steps: int, values: Values) -> int:
    """Return the number of steps of a cycle, of the number of steps of an epoch."""
    return -(-int(values.structure["epochs"]) * steps // cycles(values.structure))


def rate(step: int, steps: int, values: Values) -> Tensor:
    """Return the factor on `lr`, ``(slots,)``, at a step, counted from the start of training."""
    length = _length(steps, values)
    factor = (1 + math.cos(math.pi * (step % length) / length)) / 2
    return torch.full((values.slots,), factor, dtype=values.dtype, device=values.device)


def average(step: int, steps: int, values: Values) -> Tensor:
    """Return the shares of the weights in the networks, ``M x slots``: 1 at the ends of epochs, up to a cycle's end."""
    length, count = _length(steps, values), cycles(values.structure)
    ends = [min((cycle + 1) * length, int(values.structure["epochs"]) * steps) - 1 for cycle in range(count)]
    enters = [step == end or (step < end and (step + 1) % steps == 0) for end in ends]
    return torch.stack([torch.full_like(values["lr"], float(now)) for now in enters])


technique = Technique(
    name="snapshot",
    role="schedule",
    hyperparameters={"snapshot": Structural(default=3, minimum=0, neutral=0)},
    check=check,
    rate=rate,
    average=average,
    averages=cycles,
)
