"""Measures of how well predictions state their own uncertainty: pure functions of arrays.

Shapes: probabilities ``rows x classes``, labels ``(rows,)``; values and deviations ``rows x outputs``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NORMAL_95 = 1.96
"""The number of standard deviations around the mean that hold 95% of a normal distribution."""


def accuracy(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """Return the share of rows whose most probable class is right."""
    return float((probabilities.argmax(1) == labels).mean())


def log_loss(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """Return the mean of ``-log`` of the probability of the true class."""
    with np.errstate(divide="ignore"):
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def calibration_error(probabilities: Floats, labels: NDArray[np.int64], bins: int = 15) -> float:
    """Return the expected calibration error, ``sum_b n_b / n * |accuracy_b - confidence_b|``.

    A row's confidence is the probability of its most probable class, by which rows are sorted into bins of equal width,
    ``(b / bins, (b + 1) / bins]`` (Guo et al., "On calibration of modern neural networks", ICML 2017).
    """
    confidence = probabilities.max(1)
    surplus = (probabilities.argmax(1) == labels) - confidence
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return float(np.abs(np.bincount(bin_of, weights=surplus)).sum() / len(labels))


def entropy(probabilities: Floats) -> Floats:
    """Return ``-sum_k p_k log p_k`` of each row in nats, ``(rows,)``, from 0 (certain) to ``log(classes)``."""
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return np.asarray(-(probabilities * logs).sum(1))


def coverage(truth: Floats, mean: Floats, deviation: Floats) -> float:
    """Return the share of values within ``mean +- 1.96 deviation``: 0.95 if deviations are right and errors normal."""
    return float((np.abs(truth - mean) <= NORMAL_95 * deviation).mean())


def rmse(truth: Floats, mean: Floats) -> float:
    """Return the root mean squared error over rows and outputs."""
    return float(np.sqrt(np.square(truth - mean).mean()))
