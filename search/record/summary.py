"""What a trial's curves amount to: its objective, its best epoch, its last one (contract C8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from search.record.curves import Curves

_OBJECTIVE = "val_loss"
_SUMMARISED = ("train_loss", "val_loss", "val_accuracy", "val_rmse", "sparsity")


def _ranked(curves: Curves) -> NDArray[np.float64]:
    """Validation losses ``(replicates, epochs)``, infinite where they are not numbers."""
    losses = curves.of(_OBJECTIVE).astype(np.float64)
    return np.where(np.isfinite(losses), losses, np.inf)


def objective(curves: Curves) -> float:
    """Validation loss without penalties at the best epoch: each replicate's minimum, then the mean over replicates.

    Infinite if some replicate never was finite.
    """
    return float(_ranked(curves).min(1).mean())


def diverged_at(curves: Curves) -> int | None:
    """The first epoch, counted from 1, at which some replicate's validation loss is not finite; None if none is."""
    broken = ~np.isfinite(curves.of(_OBJECTIVE)).all(0)
    return int(broken.argmax()) + 1 if broken.any() else None


def summarise(curves: Curves) -> dict[str, float]:
    """`best_*`: means over replicates at each one's best epoch; `final_*`: at the last; `best_epoch` counts from 1.

    Of the losses, the accuracy or error and the sparsity; not of what only curves are read for. Entries that are not
    finite are left out: JSON has no word for them.
    """
    best = _ranked(curves).argmin(1)
    rows = np.arange(curves.replicates)
    summary = {"best_epoch": float((best + 1).mean()), "epochs_trained": float(curves.epochs)}
    for name in (name for name in curves.metrics if name in _SUMMARISED):
        values = curves.of(name).astype(np.float64)
        summary[f"best_{name}"] = float(values[rows, best].mean())
        summary[f"final_{name}"] = float(values[:, -1].mean())
    return {name: value for name, value in summary.items() if np.isfinite(value)}
