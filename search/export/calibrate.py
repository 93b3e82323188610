"""Calibrate probabilities by one temperature, so that a confidence of 0.8 is right in 80% of the cases.

Logits are divided by T > 0, which minimises the validation loss: ``p = softmax(z / T)``. In an ensemble, the logits of
every network are divided by the same T before their probabilities are averaged. T becomes part of the last layers,
``W / T`` and ``b / T``, so that whatever reads the model file gets calibrated probabilities. The most probable class of
a single network stays the same.

The expected calibration error is ``sum_b n_b / n * |accuracy_b - confidence_b|`` over 15 bins of equal numbers of rows,
sorted by the probability of the most probable class. It is measured on the rows on which T was fitted; with one
parameter, this is hardly optimistic.

Source: Guo et al., "On calibration of modern neural networks" (ICML 2017); bins of equal mass: Nixon et al., "Measuring
calibration in deep learning" (CVPR workshops 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search.data import Data
from search.train.model_file import Model
from search.train.model_parts import Calibration

BINS = 15
_LIMIT = math.log(100.0)


def calibrated(model: Model, data: Data) -> Model:
    """Return the model with the temperature that minimises its validation loss.

    Args:
        model: a model of a classification, which was not trained on the validation rows.
        data: the data with the validation rows, and with their weights if they have any.
    """
    x, labels = data.x_val.cpu(), data.y_val.cpu()
    rows = torch.ones(len(x)) if data.w_val is None else data.w_val.cpu()
    shares = rows.double() / rows.double().sum()
    logits, weights = _logits(model, x)
    temperature = fit_temperature(logits, weights, labels, shares)
    tensors = dict(model.tensors)
    for name in model.last_layers:
        tensors[name] = (tensors[name].double() / temperature).float()
    after = replace(model, tensors=tensors)
    before, now = _probabilities(logits, weights), _probabilities(*_logits(after, x))
    described = Calibration(
        temperature=temperature,
        rows=len(labels),
        error_before=calibration_error(before.numpy(), labels.numpy(), shares.numpy()),
        error=calibration_error(now.numpy(), labels.numpy(), shares.numpy()),
        loss_before=_loss(before, labels, shares),
        loss=_loss(now, labels, shares),
    )
    meta = model.meta.model_copy(update={"calibration": described, "val_loss": described.loss})
    return replace(after, meta=meta)


def fit_temperature(
    logits: Sequence[Tensor], weights: Sequence[float], labels: Tensor, shares: Tensor | None = None
) -> float:
    """Return the T between 1/100 and 100 that minimises the mean of ``-log sum_i w_i softmax(z_i / T)_label``.

    Args:
        logits: the logits z_i of each network, ``rows x classes``.
        weights: the weights w_i of the networks.
        labels: the classes, ``(rows,)``.
        shares: each row's share of all weights, ``(rows,)``; None if all rows weigh the same.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        return _loss(_probabilities([one / math.exp(log_t) for one in logits], weights), labels, shares)

    found = minimize_scalar(loss, bounds=(-_LIMIT, _LIMIT), method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def calibration_error(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    shares: NDArray[np.float64] | None = None,
    bins: int = BINS,
) -> float:
    """Return the expected calibration error over bins of equal numbers of rows.

    Args:
        probabilities: the probabilities, ``rows x classes``.
        labels: the classes, ``(rows,)``.
        shares: each row's share of all weights, ``(rows,)``; None if all rows weigh the same.
        bins: the number of bins.
    """
    confidence = probabilities.max(1)
    surplus = ((probabilities.argmax(1) == labels) - confidence) * (1 / len(labels) if shares is None else shares)
    parts = np.array_split(surplus[np.argsort(confidence, kind="stable")], bins)
    return float(sum(abs(part.sum()) for part in parts))


def _logits(model: Model, x: Tensor) -> tuple[list[Tensor], list[float]]:
    with torch.no_grad():
        return [one.forward(x).double() for one in model.networks], [one.weight for one in model.networks]


def _probabilities(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    parts = [weight * one.softmax(1) for one, weight in zip(logits, weights, strict=True)]
    return torch.stack(parts).sum(0)


def _loss(probabilities: Tensor, labels: Tensor, shares: Tensor | None) -> float:
    # A probability may be too small for float64 at a low temperature.
    logs = probabilities.clamp_min(torch.finfo(torch.float64).tiny).log()
    losses = F.nll_loss(logs, labels, reduction="none")
    return float(losses.mean() if shares is None else losses @ shares)
