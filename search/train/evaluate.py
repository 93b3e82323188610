"""What is measured of a pack's weights: losses and scores on some rows, sparsity, norms."""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique.layout import ALIGNMENT, Layout
from search.train import losses
from search.train.batches import Batches
from search.train.network import Network
from search.train.program import Program

# Rows per product in evaluation. A constant, because how rows are cut must not depend on the pack.
EVAL_ROWS = 2048
_SPARSE = 1e-6


@torch.no_grad()
def score(network: Network, program: Program, batches: Batches, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss and accuracy (or root mean squared error in the user's units), ``(slots,)`` each, in float64.

    Args:
        x: ``examples x padded features``; y: ``examples x padded outputs``.
    """
    loss = torch.zeros(network.slots, dtype=torch.float64, device=batches.device)
    read = torch.zeros_like(loss)
    for start in range(0, len(x), EVAL_ROWS):
        part, truth = x[start : start + EVAL_ROWS], y[start : start + EVAL_ROWS]
        predictions = network(part.expand(network.groups, -1, -1))
        loss += program.loss(predictions, truth[None], batches.outputs).sum(1)
        if batches.target_scale is None:
            read += losses.correct(predictions, truth, batches.outputs)
        else:
            read += losses.squared_error(predictions, truth, batches.target_scale)
    loss /= len(x)
    read = read / len(x) if batches.target_scale is None else (read / (len(x) * batches.outputs)).sqrt()
    return loss, read


@torch.no_grad()
def per_example(program: Program, batches: Batches, predictions: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Loss, and whether the class is right (or the squared error in the user's units, mean over outputs), in float64.

    Args:
        predictions: ``slots x examples x padded outputs``; y: ``examples x padded outputs``.

    Returns:
        ``slots x examples`` each; their means are what `score` gives, of the squared error before the root.
    """
    loss = program.loss(predictions, y[None], batches.outputs).double()
    if batches.target_scale is None:
        real = slice(batches.outputs)
        return loss, (predictions[..., real].argmax(-1) == y[..., real].argmax(-1)).double()
    return loss, ((predictions - y) * batches.target_scale).double().square().sum(-1) / batches.outputs


@torch.no_grad()
def sizes(theta: Tensor, layout: Layout, room: Tensor) -> dict[str, Tensor]:
    """Of weights ``slots x size``: the share below 1e-6 in magnitude, and the Euclidean norm.

    Args:
        room: as large as theta; overwritten.
    """
    norm = torch.linalg.vector_norm(theta, dim=1).double()
    # Padding is exactly zero, so it is counted and taken off again: cheaper than masking it out.
    small = torch.lt(torch.abs(theta, out=room), _SPARSE, out=room)
    # Sixteen ones are sixteen in any type; a sum of booleans would first copy them all into 64 bits.
    zeros = small.view(len(theta), -1, ALIGNMENT).sum(2).double().sum(1) - (layout.size - layout.trainable)
    # Where weights are not finite, so is the padding.
    sparsity = torch.where(norm.isfinite(), zeros / layout.trainable, torch.nan)
    return {"sparsity": sparsity, "weight_norm": norm}


@torch.no_grad()
def weight_means(theta: Tensor, layout: Layout) -> Tensor:
    """The mean over parameter tensors of the absolute value of a tensor's mean, ``(slots,)``."""
    means = []
    for field in layout.fields:
        # Padding is zero: it adds nothing to the sum.
        total = layout.view(theta, field).flatten(1).double().sum(1)
        means.append((total / torch.Size(field.shape).numel()).abs())
    return torch.stack(means).mean(0)
