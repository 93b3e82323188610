"""The summary of a trial's curves: its objective, and its metrics at the best and the last epoch (contract C8).

`aim` is the first objective of the study, which decides which epoch is the best.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.recipe.schema import MEASURED, WATCHED
from search.record.curves import CURVES, DIVERGED_AT, SUMMARY, TIMES, Curves, encode_times, logged_epochs
from search.train.metrics.objective import VAL_LOSS, Objective

if TYPE_CHECKING:
    import optuna

_SHOWN = 6  # each value that Optuna stores takes a transaction of a millisecond
_SUMMARISED = {*MEASURED, *chain.from_iterable(WATCHED.values())}


def losses(curves: Curves, aim: Objective) -> NDArray[np.float64]:
    """Return the objective as a loss, ``replicates x epochs``; infinite where it, or the loss, is not finite.

    A network whose predictions are not finite may still have an accuracy.
    """
    values = aim.loss(curves.of(aim.name).astype(np.float64))
    finite = np.isfinite(values) & np.isfinite(curves.of(VAL_LOSS.name))
    return np.where(finite, values, np.inf)


def objectives(curves: Curves, aim: Objective) -> NDArray[np.float64]:
    """Return the objective at each replicate's best epoch, ``(replicates,)``; `aim.worst` if it never was finite.

    Penalty terms are not part of a validation loss.
    """
    ranked = losses(curves, aim)
    best: NDArray[np.float64] = aim.loss(ranked[np.arange(len(ranked)), best_epochs(curves, aim) - 1])
    return best


def best_epochs(curves: Curves, aim: Objective) -> NDArray[np.int64]:
    """Return each replicate's best epoch, counted from 1, ``(replicates,)``: the first with the best objective.

    For an objective that is `common`, that is the epoch with the best mean over replicates.
    """
    ranked = losses(curves, aim)
    best: NDArray[np.int64] = (np.broadcast_to(ranked.mean(0), ranked.shape) if aim.common else ranked).argmin(1) + 1
    return best


def objective(curves: Curves, aim: Objective) -> float:
    """Return the mean over replicates of the objective at the best epoch; `aim.worst` if one never was finite."""
    return float(objectives(curves, aim).mean())


def objective_so_far(curves: Curves, aim: Objective) -> NDArray[np.float64]:
    """Return the objective after each epoch, ``(epochs,)``."""
    ranked = losses(curves, aim)
    if aim.common:
        ranked = ranked.mean(0, keepdims=True)
    so_far: NDArray[np.float64] = aim.loss(np.minimum.accumulate(ranked, axis=1).mean(0))
    return so_far


def shown_curve(curves: Curves, aim: Objective, rungs: Collection[int]) -> dict[int, float]:
    """Return some values of the objective so far, by epoch, at which Optuna's dashboard and plots draw a trial's curve.

    Rungs are left out: there the study has reported the objective itself, which pruners and samplers read.
    """
    values = objective_so_far(curves, aim)
    steps = (int(epoch) for epoch in logged_epochs(curves.epochs, _SHOWN))
    return {step: float(values[step - 1]) for step in steps if step not in rungs and np.isfinite(values[step - 1])}


def diverged_at(curves: Curves) -> int | None:
    """Return the first epoch, from 1, at which a replicate's validation loss is not finite; None if there is none."""
    broken = ~np.isfinite(curves.of(VAL_LOSS.name)).all(0)
    return int(broken.argmax()) + 1 if broken.any() else None


def at_best(curves: Curves, metric: str, aim: Objective) -> NDArray[np.float64]:
    """Return a metric at each replicate's best epoch, ``(replicates,)``."""
    best = best_epochs(curves, aim)
    values: NDArray[np.float64] = curves.of(metric).astype(np.float64)[np.arange(len(best)), best - 1]
    return values


def by_replicate(curves: Curves, aim: Objective) -> dict[str, NDArray[np.float64]]:
    """Return metrics at each replicate's best epoch, as `best_*`, and at its last one, as `final_*`, ``(replicates,)``.

    The metrics are the losses, the metrics of predictions, the sparsity and those that the recipe watches; not those
    that are recorded for their curves alone. `best_epoch` counts from 1.
    """
    values = {"best_epoch": best_epochs(curves, aim).astype(np.float64)}
    for name in filter(_is_summarised, curves.metrics):
        values |= {
            f"best_{name}": at_best(curves, name, aim),
            f"final_{name}": curves.of(name)[:, -1].astype(np.float64),
        }
    return values


def _is_summarised(metric: str) -> bool:
    # Besides the known metrics these are the user's own.
    return metric in _SUMMARISED or (metric.startswith("val_") and metric != "val_objective")


def summarise(curves: Curves, aim: Objective) -> dict[str, float]:
    """Return the means over replicates of `by_replicate`, and `epochs_trained`.

    Entries that are not finite are left out, because JSON cannot hold them.
    """
    means = {name: float(values.mean()) for name, values in by_replicate(curves, aim).items()}
    means["epochs_trained"] = float(curves.epochs)
    return {name: value for name, value in means.items() if np.isfinite(value)}


def keep(trial: optuna.Trial, curves: Curves, times: Sequence[int], aim: Objective) -> None:
    """Store a trial's record with it: its curves, their summary, and the time at the end of each epoch (ms)."""
    # Programs that list attributes do so in this order: what a person can read comes first.
    trial.set_user_attr(SUMMARY, summarise(curves, aim))
    if (epoch := diverged_at(curves)) is not None:
        trial.set_user_attr(DIVERGED_AT, epoch)
    trial.set_user_attr(CURVES, curves.encode())
    trial.set_user_attr(TIMES, encode_times(np.array(times, dtype=np.int64)))
