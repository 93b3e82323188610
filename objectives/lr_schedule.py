"""A learning rate schedule, with linear warm-up, changes the learning rate from step to step.

``rate_t = lr * schedule * warm-up``, with epoch e from 0 of E epochs, and step t from 0 of T steps in all:

    step               step_gamma^floor(e / step_size)
    exponential        exponential_gamma^e
    cosine             f + (1 - f) (1 + cos(pi e / E)) / 2,  f = eta_min_fraction
    one_cycle          rises from 1 / div_factor to 1 in the first pct_start T steps, then falls to
                       1 / (div_factor final_div_factor), along half a cosine each
    reduce_on_plateau  is multiplied by plateau_factor whenever val_loss was not below (1 - plateau_threshold) times its
                       best for more than plateau_patience epochs in a row
    constant           1
    warm-up            min(1, (t + 1) / (warmup T / E)),  `warmup` in epochs; with every schedule, also constant

`lr` is the largest rate in every schedule. Only the rate changes: one_cycle does not change the momentum.

Shapes: the factor on the rate is ``(slots,)``. Hyperparameters searched: the schedule `lr_schedule` and, for each
schedule, those of its hyperparameters that have a range; `warmup` is 0 unless a study sets or searches it.

Source: `torch.optim.lr_scheduler`: StepLR, ExponentialLR and CosineAnnealingLR (T_max = E), stepped once an epoch;
OneCycleLR, stepped once a step, without momentum; ReduceLROnPlateau, stepped once an epoch, with eps = 0; LinearLR.
Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (ICLR 2017); Smith and Topin,
"Super-convergence" (2018); for warm-up Goyal et al., "Accurate, large minibatch SGD" (2017).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Numeric, Structural, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Refuse values that would take effect only after the end of training."""
    epochs = min(int(value) for value in context.possible("epochs"))
    longest = max(float(value) for value in context.possible("warmup"))
    if longest > epochs:
        raise ValueError(f"warmup must be <= epochs ({epochs}), got {longest:g}")
    # The smallest value counts: if a range goes beyond the epochs, its smaller values still take effect.
    for schedule, name in (("step", "step_size"), ("reduce_on_plateau", "plateau_patience")):
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
    schedule, epochs, epoch = values.structure["lr_schedule"], int(values.structure["epochs"]), step // steps
    factor = torch.ones(values.slots, dtype=torch.float64, device=values.device)
    if schedule == "step":
        factor = _power(values["step_gamma"].double(), (epoch / values["step_size"].double()).long(), epochs)
    elif schedule == "exponential":
        factor = _power(values["exponential_gamma"].double(), torch.full_like(factor, epoch).long(), epochs)
    elif schedule == "cosine":
        factor = 1 - (1 - values["eta_min_fraction"].double()) * (1 - math.cos(math.pi * epoch / epochs)) / 2
    elif schedule == "one_cycle":
        factor = _one_cycle(step, epochs * steps, values)
    elif schedule == "reduce_on_plateau":
        factor = values.state["factor"]
    # Without warm-up the quotient is infinite, and the factor is 1.
    rising = ((step + 1) / (values["warmup"].double() * steps)).clamp(max=1.0)
    return (factor * rising).to(values.dtype)


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
    return end + (begin - end) / 2 * (1 + _cosine(share))


def _cosine(share: Tensor) -> Tensor:
    """Return ``cos(pi * share)`` for shares in [0, 1] to 1e-15, by products and sums; see `_power` for the reason."""
    # It is 1 - 2 sin^2 of half the angle, at most pi / 2, where ten terms of the Taylor series of sin are enough.
    half = share * (math.pi / 2)
    square = half * half
    series = torch.ones_like(share)
    for term in range(19, 1, -2):
        series = 1 - series * square / (term * (term - 1))
    sine = half * series
    return 1 - 2 * sine * sine


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


technique = Technique(
    name="lr_schedule",
    role="schedule",
    hyperparameters={
        "lr_schedule": Structural(
            default="cosine",
            choices=("constant", "step", "exponential", "cosine", "one_cycle", "reduce_on_plateau"),
            neutral="constant",
            searched=True,
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
            default=0.0, minimum=0.0, maximum=1.0, neutral=1.0, when={"lr_schedule": ("cosine",)}
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
    },
    check=check,
    start=start,
    rate=rate,
    after_epoch=after_epoch,
)
