"""The metrics of a pack's weights: losses and scores on some rows, sparsity and norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from search.technique.layout import Layout
from search.train.batches import Batches, Targets
from search.train.metrics.metric import Metric
from search.train.network import Products
from search.train.program import Program

# Rows per product in evaluation. This is a constant because the way rows are cut must not depend on the pack.
EVAL_ROWS = 2048
_SPARSE = 1e-6
# Numbers per slot that are scored at once: the temporaries of a metric are a few times as many.
_SCORED = 2**22


def rows_at_once(layout: Layout) -> int:
    """Return how many rows are passed through a network at once: fewer where several networks share its weights."""
    return max(1, EVAL_ROWS // layout.members)


@torch.no_grad()
def score(
    predict: Callable[[Tensor], Tensor],
    products: Products,
    groups: int,
    batches: Batches,
    x: Tensor,
    y: Targets,
    layout: Layout,
    kept: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return mean loss and accuracy (or root mean squared error in the user's units), float64 ``(slots,)`` each.

    Args:
        predict: a function that returns predictions ``slots x rows x padded outputs`` of inputs ``groups x rows x
            padded features``.
        products: what measures them.
        groups: the number of minibatches that its slots share.
        batches: the data on the device.
        x: the inputs, ``examples x padded features``.
        y: their targets. With weights, the means are weighted.
        layout: the network's layout.
        kept: gets the predictions of some examples after the other, as `readable` returns them.
    """
    loss = torch.zeros(products.slots, dtype=torch.float64, device=batches.device)
    read = torch.zeros_like(loss)
    count = rows_at_once(layout)
    for start in range(0, len(x), count):
        rows = slice(start, start + count)
        predictions = predict(x[rows].expand(groups, -1, -1))
        products.measure(predictions, y.part(rows), batches.target_scale, loss, read)
        if kept is not None:
            kept.append(readable(batches, predictions))
    total = len(x) if y.weights is None else y.weights.double().sum()
    loss /= total
    read = read / total if batches.target_scale is None else (read / (total * batches.outputs)).sqrt()
    return loss, read


@torch.no_grad()
def readable(batches: Batches, predictions: Tensor) -> Tensor:
    """Return predictions as metrics take them: class probabilities, or numbers in the user's units, in float64.

    Args:
        batches: the data.
        predictions: the predictions, ``slots x examples x padded outputs``.

    Returns:
        A new tensor, ``slots x examples x outputs``.
    """
    real = predictions[..., : batches.outputs].to(torch.float64, copy=True)
    if batches.target_scale is None:
        return real.softmax(-1)
    return _in_units(batches, real)


def truth(batches: Batches, y: Tensor) -> Tensor:
    """Return targets as metrics take them: class numbers ``(rows,)``, or ``rows x outputs`` in the user's units.

    Args:
        batches: the data.
        y: the targets, ``rows x padded outputs``.
    """
    real = y[:, : batches.outputs]
    return real.argmax(-1) if batches.target_scale is None else _in_units(batches, real.double())


def _in_units(batches: Batches, scaled: Tensor) -> Tensor:
    assert batches.target_scale is not None
    assert batches.target_shift is not None
    scale, shift = batches.target_scale[: batches.outputs], batches.target_shift[: batches.outputs]
    return scaled * scale.double() + shift.double()


@torch.no_grad()
def measure(metrics: Sequence[Metric], batches: Batches, kept: Sequence[Tensor], y: Targets) -> dict[str, Tensor]:
    """Return metrics of predictions by name, float64 ``(slots,)`` each.

    Args:
        metrics: the metrics.
        batches: the data.
        kept: the predictions, as `readable` returns them, of some rows after the other.
        y: the targets of all rows. With weights, the metrics are weighted.
    """
    if not metrics:
        return {}
    predictions, targets = torch.cat(list(kept), 1), truth(batches, y.values)
    weights = None if y.weights is None else y.weights.double()
    # A slot's result does not depend on how many are scored together.
    together = max(1, _SCORED // max(1, predictions[0].numel()))
    parts = torch.split(predictions, together)
    return {metric.name: torch.cat([metric(targets, part, weights) for part in parts]) for metric in metrics}


@torch.no_grad()
def per_example(program: Program, batches: Batches, predictions: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss of each example, and 1 or 0 for a right or wrong class (in regression, its squared error).

    The squared error is in the user's units, a mean over outputs. The means over examples are what `score` returns, for
    the squared error before the root.

    Args:
        predictions: the predictions, ``slots x examples x padded outputs``.
        y: the targets, ``examples x padded outputs``.

    Returns:
        Two float64 tensors, ``slots x examples``.
    """
    loss = program.loss(predictions, y[None], batches.outputs).double()
    if batches.target_scale is None:
        real = slice(batches.outputs)
        return loss, (predictions[..., real].argmax(-1) == y[..., real].argmax(-1)).double()
    return loss, ((predictions - y) * batches.target_scale).double().square().sum(-1) / batches.outputs


@torch.no_grad()
def sizes(products: Products, layout: Layout) -> dict[str, Tensor]:
    """Return the share of weights below 1e-6 in magnitude, and the Euclidean norm, float64 ``(slots,)`` each."""
    small, norm = products.sizes(_SPARSE)
    # Padding is exactly zero, so it is counted and subtracted again, which is cheaper than masking it.
    zeros = small - (layout.size - layout.trainable)
    # If weights are not finite, the padding is not either, and the count means nothing.
    sparsity = torch.where(norm.isfinite(), zeros / layout.trainable, torch.nan)
    return {"sparsity": sparsity, "weight_norm": norm}


@torch.no_grad()
def weight_means(theta: Tensor, layout: Layout) -> Tensor:
    """Return the mean over parameter tensors of the absolute value of each tensor's mean, ``(slots,)``."""
    means = []
    for field in layout.fields:
        # Padding is zero and adds nothing to the sum.
        total = layout.view(theta, field).flatten(1).double().sum(1)
        means.append((total / torch.Size(field.shape).numel()).abs())
    return torch.stack(means).mean(0)
