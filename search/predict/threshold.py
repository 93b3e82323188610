"""A threshold for the decision between two classes, chosen on the validation rows for a metric.

A row is taken for the second class if the probability p of that class is above the threshold t, else for the first one.
Without a threshold the more probable class is taken, which is t = 1/2. All t between two neighbouring probabilities
decide the rows alike, so it is enough to try the middles:

    t = argmax metric(y, p > t)    over 1/2 and the middles between neighbours among 0, p_1, ..., p_n, 1

Of equally good ones, the nearest to 1/2 is taken. The rows that choose are those on which the metric is reported, so it
is optimistic. The confusion matrices of all t are cumulative sums over the rows in the order of p, and the metrics are
those of the matrices, so that n rows take ``n log n`` steps.

Source: Lipton, Elkan and Naryanaswamy, "Optimal thresholding of classifiers to maximize F1 measure" (ECML 2014);
`sklearn.model_selection.TunedThresholdClassifierCV` does this for estimators.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from search.data import Data
from search.errors import RequestError
from search.train.metrics.built_in import METRICS
from search.train.metrics.decided import decided_metric
from search.train.metrics.metric import Metric
from search.train.metrics.objective import BUILT_IN
from search.train.model_file import Model
from search.train.model_parts import Threshold

# Metrics that differ by less are equal, because sums of weights are rounded.
_EQUAL = 1e-12


def validate(metric: str, data: Data) -> None:
    """Refuse a threshold that cannot be chosen, before anything is trained.

    Args:
        metric: the name of the metric, with or without ``val_``.
        data: the data with the validation rows.

    Raises:
        RequestError: the metric does not depend on a threshold, the data do not have two classes, or all validation
            rows are of one class.
    """
    decided_metric(metric)
    if data.task == "regression":
        raise RequestError(f"threshold decides between two classes, but {data.name} is a regression")
    if data.outputs != 2:
        raise RequestError(f"threshold decides between two classes, but {data.name} has {data.outputs}")
    counted = data.y_val if data.w_val is None else data.y_val[data.w_val > 0]
    if len(found := set(counted.tolist())) < 2:
        weighed = "" if data.w_val is None else " with a weight above 0"
        only = f"are of class {data.classes[found.pop()]!r}" if found else "are missing"
        raise RequestError(
            f"threshold is chosen on validation rows of both classes, but all{weighed} {only}: run a study with another"
            " --val or --split-seed"
        )


def with_threshold(model: Model, data: Data, metric: str) -> Model:
    """Return the model with the threshold that is best for a metric of the validation rows.

    Args:
        model: a model of two classes, which was not trained on the validation rows.
        data: the data with the validation rows, and with their weights if they have any.
        metric: the name of the metric, with or without ``val_``.
    """
    name = decided_metric(metric).name
    probabilities = model.outputs(data.x_val.cpu())[:, 1].double()
    weights = None if data.w_val is None else data.w_val.cpu()
    value, score, score_at_half = best(METRICS[name], data.y_val.cpu(), probabilities, weights)
    threshold = Threshold(
        value=value,
        metric=name,
        rows=len(probabilities),
        score=score,
        score_at_half=score_at_half,
        second=int((probabilities > value).sum()),
    )
    return replace(model, meta=model.meta.model_copy(update={"threshold": threshold}))


def best(
    metric: Metric, targets: Tensor, probabilities: Tensor, weights: Tensor | None = None
) -> tuple[float, float, float]:
    """Return the threshold with the highest metric, the metric there, and the metric at 1/2.

    Args:
        metric: a metric of decided classes that is to be maximised.
        targets: class numbers, 0 or 1, ``(rows,)``.
        probabilities: the probabilities of class 1, float64 ``(rows,)``.
        weights: the weights of the rows, ``(rows,)``.
    """
    p, order = probabilities.sort()
    rows = torch.ones_like(p) if weights is None else weights[order].double()
    true = F.one_hot(targets[order], 2).double() * rows[:, None]
    # The weight of each true class among the first rows, from none of them to all.
    sums = F.pad(true.cumsum(0), (0, 0, 1, 0))
    lower, upper = F.pad(p, (1, 0)), F.pad(p, (0, 1), value=1.0)
    tried = torch.cat([p.new_tensor([0.5]), ((lower + upper) / 2)[lower < upper]])
    first = sums[torch.searchsorted(p, tried, right=True)]
    matrices = torch.stack([first, (sums[-1] - first).clamp(min=0)], -1)  # thresholds x true x decided
    # A matrix is a weighting of four rows, one for each of its cells.
    cells = torch.tensor([0, 0, 1, 1]), F.one_hot(torch.tensor([[0, 1, 0, 1]]), 2).double()
    scores = metric.function(*cells, matrices.flatten(1)[:, None])[:, 0]
    equal = tried[scores >= scores.max() - _EQUAL]
    chosen = equal[(equal - 0.5).abs().argmin()]
    return float(chosen), float(scores[tried == chosen][0]), float(scores[0])


def statement(model: Model) -> str:
    """Say how the model decides, how this was chosen, and what it changed on the validation rows."""
    threshold, name = model.meta.threshold, model.meta.classes[1]
    assert threshold is not None
    by = BUILT_IN[threshold.metric].shown.removeprefix("validation ")
    chosen = f"chosen for the {by} of {threshold.rows:,} validation rows"
    before = " by the network before the refit" if threshold.before_refit else ""
    if threshold.value == 0.5:
        result = f"no other one is better than {threshold.score:.4g}"
    else:
        result = f"{threshold.score_at_half:.4g} at 0.5, {threshold.score:.4g} at {threshold.value:.4g}"
    only = ""
    if threshold.second in (0, threshold.rows):
        decided = model.meta.classes[1 if threshold.second else 0]
        only = f", so that every row is {decided!r}: choose it for another metric, or train a better network"
    return (
        f"a row is {name!r} where its probability is above {threshold.value:.4g}, {chosen}{before}: {result}"
        f" (optimistic, because the same rows chose it); {threshold.second:,} of them are {name!r} then{only}"
    )
