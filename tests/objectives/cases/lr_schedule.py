"""Learning rate schedules against torch's own schedulers, each stepped as its documentation says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case
from torch.optim import lr_scheduler

STEPS = 4  # steps of an epoch: 100 rows in minibatches of 32
EQUATIONS: Mapping[str, Callable[[float, Mapping[str, Any]], float]] = {
    "flat_cosine": lambda t, values: (
        1 - (1 - math.cos(math.pi * max(0.0, t - values["flat_fraction"]) / (1 - values["flat_fraction"]))) / 2
    ),
    "coslog4": lambda t, values: (
        1 - (1 - values["eta_min_fraction"]) * (1 + math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2
    ),
}


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    """Return the factor on lr: the rate of an idle optimiser with lr 1 under the scheduler, times the warm-up."""
    schedule, epochs = values["lr_schedule"], int(values["epochs"])
    optimiser, warming = (torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0) for _ in range(2))
    by_epoch: lr_scheduler.LRScheduler | None = None
    by_step: lr_scheduler.LRScheduler | None = None
    restarting: lr_scheduler.CosineAnnealingWarmRestarts | None = None
    plateau: lr_scheduler.ReduceLROnPlateau | None = None
    if schedule == "step":
        by_epoch = lr_scheduler.StepLR(optimiser, int(values["step_size"]), values["step_gamma"])
    elif schedule == "exponential":
        by_epoch = lr_scheduler.ExponentialLR(optimiser, values["exponential_gamma"])
    elif schedule == "cosine":
        by_epoch = lr_scheduler.CosineAnnealingLR(optimiser, epochs, values["eta_min_fraction"])
    elif schedule == "one_cycle":
        by_step = lr_scheduler.OneCycleLR(
            optimiser,
            1.0,
            total_steps=epochs * STEPS,
            pct_start=values["pct_start"],
            cycle_momentum=False,
            div_factor=values["div_factor"],
            final_div_factor=values["final_div_factor"],
        )
    elif schedule == "warm_restarts":
        restarting = lr_scheduler.CosineAnnealingWarmRestarts(
            optimiser, int(values["restart_epochs"]), int(values["restart_factor"]), values["eta_min_fraction"]
        )
    elif schedule in EQUATIONS:
        by_step = lr_scheduler.LambdaLR(optimiser, lambda step: EQUATIONS[schedule](step / (epochs * STEPS), values))
    elif schedule == "reduce_on_plateau":
        plateau = lr_scheduler.ReduceLROnPlateau(
            optimiser,
            factor=values["plateau_factor"],
            patience=int(values["plateau_patience"]),
            threshold=values["plateau_threshold"],
            eps=0.0,
        )
    warmup = round(values["warmup"] * STEPS)
    rising = lr_scheduler.LinearLR(warming, 1 / warmup, total_iters=warmup - 1) if warmup > 1 else None

    def rate(step: int) -> float:
        factor: float = optimiser.param_groups[0]["lr"] * warming.param_groups[0]["lr"]
        # torch warns if a scheduler steps before its optimiser.
        optimiser.step()
        warming.step()
        if by_step is not None and step + 1 < epochs * STEPS:
            by_step.step()
        if restarting is not None:
            restarting.step((step + 1) / STEPS)
        if rising is not None:
            rising.step()
        return factor

    def after_epoch(measured: Mapping[str, float]) -> bool:
        if by_epoch is not None:
            by_epoch.step()
        if plateau is not None:
            plateau.step(measured["val_loss"])
        return False

    return {"rate": rate, "after_epoch": after_epoch}


def case(schedule: str, *slots: dict[str, float], epochs: int = 6) -> Case:
    structure = {"lr_schedule": schedule, "epochs": epochs}
    return Case(schedule, slots=slots, plain=plain, structure=structure, epochs=epochs)


CASES = [
    case("constant", {"warmup": 0.0}, {"warmup": 0.5}, {"warmup": 3.0}, epochs=4),
    case(
        "step", {"step_size": 1, "step_gamma": 0.7, "warmup": 0.0}, {"step_size": 2, "step_gamma": 0.3, "warmup": 1.5}
    ),
    case("exponential", {"exponential_gamma": 0.9, "warmup": 0.0}, {"exponential_gamma": 0.5, "warmup": 2.0}),
    case("cosine", {"eta_min_fraction": 0.0, "warmup": 0.0}, {"eta_min_fraction": 0.3, "warmup": 1.0}),
    case(
        "one_cycle",
        *(
            {"pct_start": pct, "div_factor": div, "final_div_factor": final, "warmup": warmup}
            for pct, div, final, warmup in (
                (0.3, 25.0, 1e4, 0.0),
                (0.0, 10.0, 5.0, 0.0),
                (1.0, 3.0, 100.0, 2.0),
                (0.97, 3.0, 10.0, 0.0),
            )
        ),
    ),
    case(
        "warm_restarts",
        {"restart_epochs": 2, "restart_factor": 1, "eta_min_fraction": 0.0, "warmup": 0.0},
        {"restart_epochs": 1, "restart_factor": 2, "eta_min_fraction": 0.2, "warmup": 1.0},
    ),
    case(
        "flat_cosine",
        {"flat_fraction": 0.5, "eta_min_fraction": 0.0, "warmup": 0.0},
        {"flat_fraction": 0.0, "eta_min_fraction": 0.0, "warmup": 1.0},
        epochs=3,
    ),
    case("coslog4", {"eta_min_fraction": 0.0, "warmup": 0.0}, {"eta_min_fraction": 0.3, "warmup": 1.0}, epochs=3),
    # With a threshold that no epoch reaches, no epoch improves.
    case(
        "reduce_on_plateau",
        *(
            {"plateau_factor": factor, "plateau_patience": patience, "plateau_threshold": threshold, "warmup": 0.0}
            for factor, patience, threshold in ((0.5, 0, 0.9), (0.1, 1, 0.9), (0.5, 1, 0.02), (0.3, 0, 0.0))
        ),
    ),
]
