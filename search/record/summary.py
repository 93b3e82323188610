"""The summary of a trial's curves: its objective, and its metrics at the best and the last epoch (contract C8)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.recipe.schema import MEASURED, WATCHED
from search.record.curves import CURVES, DIVERGED_AT, SUMMARY, TIMES, Curves, encode_times

if TYPE_CHECKING:
    import optuna

_OBJECTIVE = "val_loss"
_SUMMARISED = {*MEASURED, *chain.from_iterable(WATCHED.values())}


def _ranked(curves: Curves) -> NDArray[np.float64]:
    """Return the validation losses, ``replicates x epochs``, infinite where they are not finite."""
    losses = curves.of(_OBJECTIVE).astype(np.float64)
    return np.where(np.isfinite(losses), losses, np.inf)


def objectives(curves: Curves) -> NDArray[np.float64]:
    """Return the validation loss at each replicate's best epoch, ``(replicates,)``; infinite if it never was finite.

    Penalty terms are not part of it.
    """
    lowest: NDArray[np.float64] = _ranked(curves).min(1)
    return lowest


def best_epochs(curves: Curves) -> NDArray[np.int64]:
    """Return each replicate's best epoch, counted from 1, ``(replicates,)``."""
    best: NDArray[np.int64] = _ranked(curves).argmin(1) + 1
    return best


def objective(curves: Curves) -> float:
    """Return the mean over replicates of the validation loss at the best epoch; infinite if one never was finite."""
    return float(objectives(curves).mean())


def objective_so_far(curves: Curves) -> NDArray[np.float64]:
    """Return the objective after each epoch, ``(epochs,)``."""
    so_far: NDArray[np.float64] = np.minimum.accumulate(_ranked(curves), axis=1).mean(0)
    return so_far


def diverged_at(curves: Curves) -> int | None:
    """Return the first epoch, from 1, at which a replicate's validation loss is not finite; None if there is none."""
    broken = ~np.isfinite(curves.of(_OBJECTIVE)).all(0)
    return int(broken.argmax()) + 1 if broken.any() else None


def at_best(curves: Curves, metric: str) -> NDArray[np.float64]:
    """Return a metric at each replicate's best epoch, ``(replicates,)``."""
    best = best_epochs(curves)
    values: NDArray[np.float64] = curves.of(metric).astype(np.float64)[np.arange(len(best)), best - 1]
    return values


def by_replicate(curves: Curves) -> dict[str, NDArray[np.float64]]:
    """Return metrics at each replicate's best epoch, as `best_*`, and at its last one, as `final_*`, ``(replicates,)``.

    The metrics are the losses, the accuracy or error, the sparsity and those that the recipe watches; not those that
    are recorded for their curves alone. `best_epoch` counts from 1.
    """
    values = {"best_epoch": best_epochs(curves).astype(np.float64)}
    for name in (name for name in curves.metrics if name in _SUMMARISED):
        values |= {f"best_{name}": at_best(curves, name), f"final_{name}": curves.of(name)[:, -1].astype(np.float64)}
    return values


def summarise(curves: Curves) -> dict[str, float]:
    """Return the means over replicates of `by_replicate`, and `epochs_trained`.

    Entries that are not finite are left out, because JSON cannot hold them.
    """
    means = {name: float(values.mean()) for name, values in by_replicate(curves).items()}
    means["epochs_trained"] = float(curves.epochs)
    return {name: value for name, value in means.items() if np.isfinite(value)}


def keep(trial: optuna.Trial, curves: Curves, times: Sequence[int]) -> None:
    """Store a trial's record with it: its curves, their summary, and the time at the end of each epoch (ms)."""
    trial.set_user_attr(CURVES, curves.encode())
    trial.set_user_attr(TIMES, encode_times(np.array(times, dtype=np.int64)))
    trial.set_user_attr(SUMMARY, summarise(curves))
    if (epoch := diverged_at(curves)) is not None:
        trial.set_user_attr(DIVERGED_AT, epoch)
