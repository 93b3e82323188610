"""Metrics of class probabilities, batched over slots. Each equals its namesake in scikit-learn.

Shapes: `targets` are class numbers, int64 ``(rows,)``; `predictions` are probabilities, float64
``slots x rows x classes``; results are ``(slots,)``. The predicted class is the most probable one, of equal ones the
first, as by `numpy.argmax`.

`weights` are those of the rows, ``(rows,)``, scikit-learn's ``sample_weight``. They may also be ``draws x 1 x rows``;
then the result is ``draws x slots``, the metric under each of many weightings (`search.train.metrics.bootstrap`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from search.train.metrics.sums import mean, mean_of, total


def confusion(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the weight of the rows of each true class that are taken for each class, ``... x true x predicted``."""
    slots, _, classes = predictions.shape
    cells = targets * classes + predictions.argmax(-1)
    if weights is not None and weights.ndim > 1:
        # One product for all weightings. Of whole numbers its sums are exact in any order.
        table = F.one_hot(cells, classes**2).double()
        counts = torch.einsum("dn,snk->dsk", weights.flatten(0, -2), table)
        return counts.view(*weights.shape[:-2], slots, classes, classes)
    ones = torch.ones(len(targets), dtype=torch.float64, device=predictions.device) if weights is None else weights
    empty = predictions.new_zeros(slots, classes**2)
    return empty.scatter_add(1, cells, ones.to(empty).expand_as(cells)).view(slots, classes, classes)


def accuracy(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the share of right predictions: `sklearn.metrics.accuracy_score`."""
    return mean((predictions.argmax(-1) == targets).double(), weights)


def balanced_accuracy(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over classes of the share of their rows that are right: `balanced_accuracy_score`.

    Classes without rows are left out, as scikit-learn does with a warning. With one class only, it is the accuracy.
    """
    counts = confusion(targets, predictions, weights)
    rows = total(counts)
    return mean_of(counts.diagonal(dim1=-2, dim2=-1) / rows.clamp(min=torch.finfo(rows.dtype).tiny), rows > 0)


def f1(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over classes of F1, ``2 hits / (true + predicted)``: `f1_score` with ``average="macro"``.

    As in scikit-learn, a class counts if it is the true class or the prediction of some row: then its F1 is 0 if no
    prediction of it is right. A class that is neither is left out. With one class only, predicted right, it is 1.
    """
    counts = confusion(targets, predictions, weights)
    sizes = total(counts) + total(counts.transpose(-1, -2).contiguous())
    hits = 2 * counts.diagonal(dim1=-2, dim2=-1)
    scores = torch.where(sizes > 0, hits / sizes, 0.0)
    seen = confusion(targets, predictions)
    occurs = total(seen) + total(seen.transpose(-1, -2).contiguous()) > 0
    if weights is not None and weights.ndim > 1:
        occurs = sizes > 0  # rows that a draw leaves out do not occur in it
    return mean_of(scores, occurs.expand_as(scores))


def mcc(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return Matthews' correlation coefficient, for any number of classes: `sklearn.metrics.matthews_corrcoef`.

    With c right rows of s, t_k true and p_k predicted rows of class k, it is
    ``(c s - sum t_k p_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2))``. As in scikit-learn, it is 0 where the root is
    0: with one class only, or if all rows get one prediction.

    Source: Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient" (2004).
    """
    counts = confusion(targets, predictions, weights)
    true, predicted = total(counts), total(counts.transpose(-1, -2).contiguous())
    rows = total(true)
    shared = total(counts.diagonal(dim1=-2, dim2=-1)) * rows - total(true * predicted)
    spread = (rows.square() - total(predicted.square())) * (rows.square() - total(true.square()))
    return torch.where(spread > 0, shared / spread.clamp(min=torch.finfo(spread.dtype).tiny).sqrt(), 0.0)


def brier(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the Brier score: `sklearn.metrics.brier_score_loss`.

    Of two classes it is the mean over rows of ``(p - y)^2`` for the second one, from 0 to 1. Of more classes it is the
    mean over rows of ``sum_k (p_k - y_k)^2``, from 0 to 2. Classes that do not occur count by their probabilities.
    """
    truth = F.one_hot(targets, predictions.shape[-1]).double()
    squares = (predictions - truth).square()
    return mean(squares[..., 1] if predictions.shape[-1] == 2 else total(squares), weights)


def roc_auc(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the area under the ROC curve: `sklearn.metrics.roc_auc_score`; ties count half.

    Of two classes it is the area for the second one. Of more it is the mean over classes of the area for each against
    the rest (``multi_class="ovr"``, ``average="macro"``). A class without rows has no area and is left out:
    scikit-learn gives the same for the columns of the classes that occur. With one class only it is NaN, as there.
    """
    scores, is_class, weights = _one_against_rest(targets, predictions, weights)
    order = scores.argsort(dim=-1, stable=True)
    ranked = scores.gather(-1, order)
    first = torch.searchsorted(ranked, ranked)
    after = torch.searchsorted(ranked, ranked, right=True)
    ours, others = _sorted_weights(is_class, weights, order)
    below = F.pad(others.cumsum(-1), (1, 0))
    # The weight of the other rows below a row, and half of those equal to it.
    beaten = (_at(below, first) + _at(below, after)) / 2
    pairs = total(ours) * total(others)
    areas = total(ours * beaten) / pairs.clamp(min=torch.finfo(pairs.dtype).tiny)
    return mean_of(areas, (pairs > 0).expand_as(areas))


def average_precision(targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return ``sum_n (R_n - R_{n-1}) P_n`` over thresholds, P precision and R recall: `average_precision_score`.

    Of two classes it is that of the second one, and 0 if it has no rows, as in scikit-learn. Of more it is the mean
    over the classes that occur of each against the rest; scikit-learn gives the same for the columns of those classes.
    """
    scores, is_class, weights = _one_against_rest(targets, predictions, weights)
    order = (-scores).argsort(dim=-1, stable=True)
    ranked = (-scores).gather(-1, order)
    after = torch.searchsorted(ranked, ranked, right=True)
    ours, others = _sorted_weights(is_class, weights, order)
    hits = _at(F.pad(ours.cumsum(-1), (1, 0)), after)
    taken = _at(F.pad((ours + others).cumsum(-1), (1, 0)), after)
    tiny = torch.finfo(scores.dtype).tiny
    rows = total(ours)
    each = total(ours * (hits / taken.clamp(min=tiny))) / rows.clamp(min=tiny)
    return each[..., 0] if predictions.shape[-1] == 2 else mean_of(each, (rows > 0).expand_as(each))


def _one_against_rest(targets: Tensor, predictions: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores ``slots x classes x rows``, the rows of each class ``classes x rows``, and the rows' weights.

    Of two classes only the second is returned.
    """
    scores = predictions.transpose(-1, -2)
    is_class = F.one_hot(targets, predictions.shape[-1]).T.double()
    if predictions.shape[-1] == 2:
        scores, is_class = scores[:, 1:], is_class[1:]
    if weights is None:
        weights = torch.ones(len(targets), dtype=scores.dtype, device=scores.device)
    return scores.contiguous(), is_class, weights.to(scores)


def _sorted_weights(is_class: Tensor, weights: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights of a class's rows and of the others, in an order ``slots x classes x rows``."""
    in_order = is_class.expand_as(order).gather(-1, order)
    # Of draws x 1 x rows, each draw's weights in every order.
    drawn = weights.flatten(0, -2)[:, order] if weights.ndim > 1 else weights[order]
    return drawn * in_order, drawn * (1 - in_order)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Return the values at places ``slots x classes x rows``, for each draw if there are any."""
    return values.gather(-1, places.expand(*values.shape[:-1], places.shape[-1]))
