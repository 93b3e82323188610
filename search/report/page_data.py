"""What the figures of a report's page are drawn from, as JSON: trials, curves and tested rows.

`assets/data.js` reads it. Curves are means over replicates at the epochs that are kept, as base64 of little-endian
float32, ``trials x metrics x epochs``, NaN where a trial has no value.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.record.curves import logged_epochs
from search.report import band
from search.report.importance import shares
from search.report.networks import HeldOut
from search.report.ranked import class_curves
from search.report.record import Entry, Record
from search.report.strength import strengths
from search.technique import Value

_MOST_VALUES = 160_000
"""The largest number of values of curves in a page, which take 850 kB."""
_FEWEST_EPOCHS = 24


def data(record: Record, held_out: HeldOut | None = None) -> dict[str, Any]:
    """Return what the page's figures need of a study with a complete trial.

    Args:
        record: the record.
        held_out: the results on the test split, if they are known.
    """
    metrics = list(dict.fromkeys([*record.objectives.names[1:], *record.shown_metrics]))
    everyone, better = shares(record) if len(record.searched) > 1 else ({}, {})
    return {
        "study": record.study,
        "objective": record.aim.name,
        "minimize": record.aim.direction == "minimize",
        "objectives": list(record.objectives.names),
        "valueLabel": record.value_label,
        "lossLabel": record.loss_label,
        "metrics": metrics,
        "params": [_parameter(record, name, range_) for name, range_ in record.searched.items()],
        "best": record.best.number,
        "front": [one.number for one in record.front] if record.objectives.several else [],
        "rungs": list(record.rungs),
        "trials": [_trial(record, entry, metrics) for entry in record.entries],
        "curves": _curves(record),
        "importance": [
            {"name": name, "all": _rounded(share), "better": _rounded(better[name]) if name in better else None}
            for name, share in sorted(everyone.items(), key=lambda item: -item[1])
        ],
        "test": {"ranked": [] if held_out is None else class_curves(held_out)},
    }


def _parameter(record: Record, name: str, searched: BaseDistribution) -> dict[str, Any]:
    choices = [str(one) for one in searched.choices] if isinstance(searched, CategoricalDistribution) else None
    ranged = searched if isinstance(searched, FloatDistribution | IntDistribution) else None
    return {
        "name": name,
        "choices": choices,
        "low": None if ranged is None else ranged.low,
        "high": None if ranged is None else ranged.high,
        "log": ranged is not None and ranged.log,
        "stronger": name in strengths(record),
        "band": [[_rounded(end) for end in span] for span in band.spans(record, name)],
    }


def _trial(record: Record, entry: Entry, metrics: list[str]) -> list[Any]:
    """Return the cells of a trial, in the order of `assets/data.js`."""
    known = entry.objectives[np.isfinite(entry.objectives)]
    return [
        entry.number,
        entry.state,
        _rounded(entry.value),
        [_value(record.searched[name], entry.params.get(name)) for name in record.searched],
        _rounded(float(entry.best_epochs.mean())) if entry.epochs else None,
        entry.epochs,
        [_rounded(float(entry.at_best(name).mean())) for name in metrics],
        entry.label,
        _rounded(float(known.min())) if len(known) else None,
        _rounded(float(known.max())) if len(known) else None,
        *(_rounded(float(entry.at_best(name).mean())) for name in ("sparsity", "weight_norm")),
    ]


def _value(searched: BaseDistribution, value: Value | None) -> float | str | None:
    if value is None or isinstance(searched, FloatDistribution | IntDistribution):
        return None if value is None else _rounded(float(value))
    return str(value)


def _rounded(value: float | None) -> float | None:
    """Return a number with six digits, which float32 has at least; None if it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _curves(record: Record) -> dict[str, Any]:
    metrics = list(dict.fromkeys(["train_loss", "val_loss", record.aim.name]))
    longest = max((entry.epochs for entry in record.entries), default=0)
    most = max(_FEWEST_EPOCHS, _MOST_VALUES // max(1, len(record.entries) * len(metrics)))
    epochs = logged_epochs(longest, most)
    values = np.full((len(record.entries), len(metrics), len(epochs)), np.nan, dtype="<f4")
    for row, entry in enumerate(record.entries):
        if entry.curves is None:
            continue
        reached = epochs[epochs <= entry.epochs]
        for column, metric in enumerate(metrics):
            if metric in entry.curves.metrics:
                values[row, column, : len(reached)] = entry.curves.mean(metric)[reached - 1]
    encoded = base64.b64encode(values.tobytes()).decode("ascii")
    return {"metrics": metrics, "epochs": epochs.tolist(), "data": encoded}
