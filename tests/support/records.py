"""Records of studies that were never run; their curves are so simple that results can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution

from search.record.curves import Curves
from search.report.record import Entry, Record
from search.technique import Numeric

L2 = FloatDistribution(1e-6, 1e-1, log=True)
DECLARED = {
    "l2": Numeric(low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up"),
    "dropout": Numeric(low=0.0, high=0.8, minimum=0.0, below=1.0, neutral=0.0, stronger="up"),
    "max_norm": Numeric(low=0.3, high=4.0, log=True, above=0.0, neutral=float("inf"), stronger="down"),
    "lr": Numeric(low=1e-4, high=1e-1, log=True, above=0.0),
}


def entry(number: int, losses: Sequence[float], *, state: str = "complete", epochs: int = 4, **more: Any) -> Entry:
    """Return a trial whose replicates have these losses at their best epoch, which is the last."""
    best = np.array(losses, dtype=np.float64)[:, None]
    val = best + np.arange(epochs)[::-1]
    values = np.stack([val / 2, val / 2 + 1, val, np.full_like(val, 0.5), np.full_like(val, 0.25), val + 3])
    names = ("train_loss", "train_objective", "val_loss", "val_accuracy", "sparsity", "weight_norm")
    finite = np.isfinite(best).all()
    return Entry(
        number=number,
        state=state,
        value=float(best.mean()) if finite else None,
        curves=Curves(names, values.astype(np.float32)),
        **{"planned": 4, "params": {"l2": 1e-3}, **more},
    )


def record(entries: Sequence[Entry], searched: Mapping[str, BaseDistribution] | None = None, **more: Any) -> Record:
    """Return a study of such trials, which searches L2 by default."""
    return Record("a study", entries, searched or {"l2": L2}, DECLARED, **more)


def with_rate(of: Record) -> Record:
    """Return the same study with a learning rate beside L2, because some figures need two hyperparameters."""
    entries = [replace(one, params={**one.params, "lr": 0.02}) for one in of.entries]
    return replace(of, entries=entries, searched={**of.searched, "lr": FloatDistribution(0.01, 0.03)})
