"""The metrics that every study may name, and the constant predictor that each is compared with."""

from __future__ import annotations

from collections.abc import Mapping

from search.train.metrics import classification, regression
from search.train.metrics.metric import Function, Metric
from search.train.metrics.objective import BUILT_IN

_FUNCTIONS: Mapping[str, Function] = {
    "val_accuracy": classification.accuracy,
    "val_balanced_accuracy": classification.balanced_accuracy,
    "val_f1": classification.f1,
    "val_roc_auc": classification.roc_auc,
    "val_average_precision": classification.average_precision,
    "val_brier": classification.brier,
    "val_mcc": classification.mcc,
    "val_rmse": regression.rmse,
    "val_mae": regression.mae,
    "val_r2": regression.r2,
    "val_mape": regression.mape,
}
METRICS: Mapping[str, Metric] = {
    name: Metric(name, function, one.direction, one.task, one.best, one.label)
    for name, function in _FUNCTIONS.items()
    for one in [BUILT_IN[name]]
}
"""The metrics by name."""
