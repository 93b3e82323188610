"""A learning rate schedule, with linear warm-up, changes the learning rate from step to step.

``rate_t = lr * schedule * warm-up``, with epoch e from 0 of E epochs, and step t from 0 of T steps in all:

    step               step_gamma^floor(e / step_size)
    exponential        exponential_gamma^e
    cosine             f + (1 - f) (1 + cos(pi e / E)) / 2,  f = eta_min_fraction
    one_cycle          rises from 1 / div_factor to 1 in the first pct_start T steps, then falls to
                       1 / (div_factor final_div_factor), along half a cosine each
    warm_restarts      f + (1 - f) (1 + cos(pi c)) / 2; c goes from 0 to 1 in each cycle, and restarts. The first cycle
                       has restart_epochs epochs, each other one restart_factor times as many as the one before it
    flat_cosine        1 for t / T < flat_fraction, then f + (1 - f) (1 + cos(pi d)) / 2, d from 0 to 1 in the rest
    coslog4            f + (1 - f) (1 - cos(2 pi log2(1 + 15 t / T))) / 2: from f up to 1 and back, four times
    reduce_on_plateau  is multiplied by plateau_factor whenever val_loss was not below (1 - plateau_threshold) times its
                       best for more than plateau_patience epochs in a row
    constant           1
    warm-up            min(1, (t + 1) / (warmup T / E)),  `warmup` in epochs; with every schedule, also constant

`lr` is the largest rate in every schedule. Only the rate changes: one_cycle does not change the momentum. With
warm_restarts, a training should end with a cycle: the cycles of the defaults end after 10, 30, 70 and 150 epochs.

Shapes: the factor on the rate is ``(slots,)``. Hyperparameters searched: the schedule `lr_schedule` and, for each
schedule, those of its hyperparameters that have a range; `warmup` is 0 unless a study sets or searches it. Studies have
warm_restarts, flat_cosine and coslog4 only if they name them: ``--space lr_schedule=cosine,flat_cosine,coslog4``.

Source: `torch.optim.lr_scheduler`: StepLR, ExponentialLR and CosineAnnealingLR (T_max = E), stepped once an epoch;
OneCycleLR, stepped once a step, without momentum; CosineAnnealingWarmRestarts, stepped once a step, by fractions of
epochs; ReduceLROnPlateau, stepped once an epoch, with eps = 0; LinearLR. Loshchilov and Hutter, "SGDR: stochastic
gradient descent with warm restarts" (ICLR 2017); Smith and Topin, "Super-convergence" (2018); for warm-up Goyal et al.,
"Accurate, large minibatch SGD" (2017). flat_cosine, with a first half that is flat, and coslog4 are those of RealMLP:
Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted trees on tabular data" (NeurIPS 2024).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from search.technique import Numeric, Structural, StudyContext, Technique, Values
from search.technique.shapes import cosine, coslog4, flat_cosine


def check(context: StudyContext) -> None:
    """Refuse values that would take effect only after the end of training."""
    epochs = min(int(value) for value in context.possible("epochs"))
    longest = max(float(value) for value in context.possible("warmup"))
    if longest > epochs:
        raise ValueError(f"warmup must be <= epochs ({epochs}), got {longest:g}")
    # The smallest value counts: if a range goes beyond the epochs, its smaller values still take effect.
    begins_late = {"step": "step_size", "reduce_on_plateau": "plateau_patience", "warm_restarts": "restart_epochs"}
    for schedule, name in begins_late.items():
        smallest = min(float(value) for value in context.possible(name))
        if schedule in context.possible("lr_schedule") and smallest >= epochs:
            raise ValueError(f"{name} must be < epochs ({epochs}), got {smallest:g}")


def start(values: Values) -> dict[str, Tensor]:
    """Return the loss to improve on, the epochs since it, and the factor, ``(slots,)`` each, of reduce_on_plateau."""
    if values.structure["lr_schedule"] != "reduce_on_plateau":
        return {}
    ones = torch.ones(values.slots, dtype=torch.float64, device=values.device)
    return {"best": ones * torch.inf, "waited": torch.zeros_like(ones), "factor": ones}


def rate(step: int, steps: int, values: Values) -> Tensor:
    """Return the factor on `lr`, ``(slots,)``, at a step, counted from the start of training."""
    schedule, epochs, epoch = str(values.structure["lr_schedule"]), int(values.structure["epochs"]), step // steps
    factor = torch.ones(values.slots, dtype=torch.float64, device=values.device)
    if schedule == "step":
        factor = _power(values["step_gamma"].double(), (epoch / values["step_size"].double()).long(), epochs)
    elif schedule == "exponential":
        factor = _power(values["exponential_gamma"].double(), torch.full_like(factor, epoch).long(), epochs)
    elif schedule in _FALLEN:
        factor = 1 - (1 - values["eta_min_fraction"].double()) * _FALLEN[schedule](step, steps, values)
    elif schedule == "one_cycle":
        factor = _one_cycle(step, epochs * steps, values)
    elif schedule == "reduce_on_plateau":
        factor = values.state["factor"]
    # Without warm-up the quotient is infinite, and the factor is 1.
    rising = ((step + 1) / (values["warmup"].double() * steps)).clamp(max=1.0)
    return (factor * rising).to(values.dtype)


def _cosine(step: int, steps: int, values: Values) -> float:
    return (1 - math.cos(math.pi * (step // steps) / int(values.structure["epochs"]))) / 2


def _warm_restarts(step: int, steps: int, values: Values) -> Tensor:
    length, growth = (values["restart_epochs"] * steps).long(), values["restart_factor"].long()
    # Cycles that do not grow are counted by division. The others at least double, from an epoch or more.
    begin = torch.where(growth == 1, step // length * length, 0)
    for _ in range((step // steps + 1).bit_length()):
        over = step >= begin + length
        begin, length = torch.where(over, begin + length, begin), torch.where(over, length * growth, length)
    return (1 - cosine((step - begin).double() / length)) / 2


def _flat_cosine(step: int, steps: int, values: Values) -> Tensor:
    return 1 - flat_cosine(step / (int(values.structure["epochs"]) * steps), values["flat_fraction"].double())


def _coslog4(step: int, steps: int, values: Values) -> float:
    return 1 - coslog4(step / (int(values.structure["epochs"]) * steps))


_FALLEN: Mapping[str, Callable[[int, int, Values], Tensor | float]] = {
    "cosine": _cosine,
    "warm_restarts": _warm_restarts,
    "flat_cosine": _flat_cosine,
    "coslog4": _coslog4,
}
"""Schedules between `lr` and `eta_min_fraction` of it: the part of the way down at a step, ``(slots,)`` or a number."""


def _power(base: Tensor, exponent: Tensor, most: int) -> Tensor:
    """Return ``base ** exponent`` for integer exponents up to `most`, ``(slots,)`` each, by products.

    `torch.pow` rounds differently if a vector register is not full, so that a slot's rate would depend on its place.
    """
    power = torch.ones_like(base)
    for bit in range(most.bit_length()):
        power = torch.where((exponent >> bit) % 2 == 1, power * base, power)
        base = base * base
    return power


def _one_cycle(step: int, total: int, values: Values) -> Tensor:
    """Return the factor of one_cycle at a step of `total`, ``(slots,)``."""
    first = 1 / values["div_factor"].double()
    last = first / values["final_div_factor"].double()
    peak = values["pct_start"].double() * total - 1
    rising = step < peak
    # With the peak at the last step there are no steps down: the clamp avoids 0 / 0.
    share = torch.where(rising, step / peak, (step - peak) / (total - 1 - peak).clamp(min=1e-9))
    return torch.where(rising, _eased(first, 1.0, share), _eased(1.0, last, share))


def _eased(begin: Tensor | float, end: Tensor | float, share: Tensor) -> Tensor:
    """Return the point between `begin` and `end` on half a cosine, at a share of the way, ``(slots,)``."""
    return end + (begin - end) / 2 * (1 + cosine(share))


def after_epoch(metrics: Mapping[str, Tensor], values: Values) -> None:
    """Reduce the factor on a plateau of the validation loss, and start the count of epochs again."""
    if values.structure["lr_schedule"] != "reduce_on_plateau":
        return
    best, waited, factor = values.state["best"], values.state["waited"], values.state["factor"]
    improved = metrics["val_loss"] < best * (1 - values["plateau_threshold"].double())
    best.copy_(torch.where(improved, metrics["val_loss"], best))
    waited.add_(1).masked_fill_(improved, 0.0)
    reduced = waited > values["plateau_patience"]
    factor.copy_(torch.where(reduced, factor * values["plateau_factor"].double(), factor))
    waited.masked_fill_(reduced, 0.0)


_SEARCHED = ("constant", "step", "exponential", "cosine", "one_cycle", "reduce_on_plateau")
"""The schedules that a study searches unless it names others; it stays as it is, for the studies that are stored."""

technique = Technique(
    name="lr_schedule",
    role="schedule",
    hyperparameters={
        "lr_schedule": Structural(
            default="cosine",
            choices=(*_SEARCHED, "warm_restarts", "flat_cosine", "coslog4"),
            neutral="constant",
            searched=_SEARCHED,
        ),
        "warmup": Numeric(minimum=0.0, neutral=0.0),
        "step_size": Numeric(default=30, low=5, high=50, whole=True, minimum=1, when={"lr_schedule": ("step",)}),
        "step_gamma": Numeric(
            default=0.1, low=0.1, high=0.7, above=0.0, maximum=1.0, neutral=1.0, when={"lr_schedule": ("step",)}
        ),
        "exponential_gamma": Numeric(
            default=0.97,
            low=0.9,
            high=0.995,
            above=0.0,
            maximum=1.0,
            neutral=1.0,
            when={"lr_schedule": ("exponential",)},
        ),
        "eta_min_fraction": Numeric(
            default=0.0, minimum=0.0, maximum=1.0, neutral=1.0, when={"lr_schedule": tuple(_FALLEN)}
        ),
        "pct_start": Numeric(
            default=0.3, low=0.1, high=0.5, minimum=0.0, maximum=1.0, when={"lr_schedule": ("one_cycle",)}
        ),
        "div_factor": Numeric(default=25.0, minimum=1.0, neutral=1.0, when={"lr_schedule": ("one_cycle",)}),
        "final_div_factor": Numeric(default=1e4, minimum=1.0, neutral=1.0, when={"lr_schedule": ("one_cycle",)}),
        "plateau_factor": Numeric(
            default=0.1,
            low=0.1,
            high=0.7,
            above=0.0,
            maximum=1.0,
            neutral=1.0,
            when={"lr_schedule": ("reduce_on_plateau",)},
        ),
        "plateau_patience": Numeric(
            default=10, low=2, high=20, whole=True, minimum=0, when={"lr_schedule": ("reduce_on_plateau",)}
        ),
        "plateau_threshold": Numeric(
            default=1e-4, minimum=0.0, below=1.0, when={"lr_schedule": ("reduce_on_plateau",)}
        ),
        "restart_epochs": Numeric(
            default=10, whole=True, minimum=1, when={"lr_schedule": ("warm_restarts",)}, later=True
        ),
        "restart_factor": Numeric(
            default=2, whole=True, minimum=1, when={"lr_schedule": ("warm_restarts",)}, later=True
        ),
        "flat_fraction": Numeric(
            default=0.5, minimum=0.0, maximum=1.0, neutral=1.0, when={"lr_schedule": ("flat_cosine",)}, later=True
        ),
    },
    check=check,
    start=start,
    rate=rate,
    after_epoch=after_epoch,
)
