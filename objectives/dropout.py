"""Dropout sets hidden units to zero at random in training.

``h_i <- h_i * m_i / (1 - p_k)``,  ``m_i = 1`` with probability ``1 - p_k``, else 0,

after the activation of hidden layer k, drawn anew for each example, unit and forward pass. All slots of a replicate see
the same uniform draws, so the units that a small p drops are among those that a large p drops.

``p_k = p * f_k``. The shape, `dropout_shape`, gives the factor of layer k = 1 ... K; the largest one is 1:

    brick        1 (the default)
    funnel       1 - (k - 1) / K
    triangle     k / K
    stairs       1 - 2 s / K,  s = floor((k - 1 + K mod 2) / 2): down by 2 / K, every second layer
    long_funnel  min(1, (K - k + 1) / (K - b)),  b = floor((K + 1) / 2): 1 in the first half, then as funnel
    diamond      min(k / b, (K - k + 1) / (K - b + 1)),  b as above: up to layer b, then down
    hexagon      min(1, k / r, (K - k + 1) / r),  r = floor((K + 1) / 3): up in a third, down in a third; 1 if r is 0

Shapes: activations ``slots x batch x width`` to the same. Hyperparameters searched: p, named `dropout`. Fix or search
the shape by `--set dropout_shape=funnel` or `--space dropout_shape=brick,funnel,triangle`.

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (JMLR 2014);
`torch.nn.Dropout`. The shapes are those of Kadra et al., "Well-tuned simple nets excel on tabular datasets" (NeurIPS
2021), by `get_shaped_neuron_counts(shape, 0, 0, 1000, K + 1)` of Auto-PyTorch, without its rounding to whole numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Gate, Numeric, Structural, StudyContext, Technique, Values

SHAPES = ("brick", "funnel", "long_funnel", "diamond", "hexagon", "triangle", "stairs")


def check(context: StudyContext) -> None:
    """Refuse linear models, which have no hidden units to drop, and shapes of a single hidden layer."""
    networks, shapes = context.possible("hidden"), context.possible("dropout_shape")
    if networks == ["0"]:
        raise ValueError("it needs a hidden layer, got hidden 0")
    deepest = max(str(widths).count("x") + 1 for widths in networks)
    if deepest == 1 and shapes != ["brick"]:
        raise ValueError(
            f"dropout_shape {','.join(map(str, shapes))} needs two hidden layers or more: with hidden"
            f" {','.join(map(str, networks))} every shape is brick"
        )


def factor(shape: str, number: int, layers: int) -> float:
    """Return the factor on p of a hidden layer.

    Args:
        shape: one of `SHAPES`.
        number: the layer's number, from 1.
        layers: the number of hidden layers.
    """
    left, half, third = layers - number + 1, (layers + 1) // 2, (layers + 1) // 3
    if shape == "funnel":
        return left / layers
    if shape == "triangle":
        return number / layers
    if shape == "stairs":
        return 1 - 2 * ((number - 1 + layers % 2) // 2) / layers
    if shape == "long_funnel":
        return 1.0 if number <= half else left / (layers - half)
    if shape == "diamond":
        return min(number / half, left / (layers - half + 1))
    if shape == "hexagon" and third > 0:
        return min(1.0, number / third, left / third)
    return 1.0


def layer(h: Tensor, number: int, values: Values) -> Tensor:
    """Return activations ``slots x batch x width``, some set to zero and the others divided by ``1 - p``."""
    if number == 0 or not values.train:
        return h
    draws = values.uniform(f"layer {number}", *h.shape[1:])
    p = _probability(number, values)[:, None, None]
    # The comparison is written as floats: a boolean mask, or `torch.where`, takes three times as long.
    kept = torch.ge(draws, p, out=torch.empty_like(h))
    return h * kept.mul_(1 / (1 - p))


def gate(number: int, h: Tensor, values: Values) -> Gate | None:
    """Return the gate of a hidden layer's activations, ``slots x batch x width``."""
    if number == 0:
        return None
    p = _probability(number, values)
    return Gate(values.draws(f"layer {number}", *h.shape[1:]), p, 1 / (1 - p))


def _probability(number: int, values: Values) -> Tensor:
    """Return the probability with which a hidden layer's units are dropped, ``(slots,)``."""
    return values["dropout"] * factor(str(values.structure["dropout_shape"]), number, values.layout.layers - 1)


technique = Technique(
    name="dropout",
    hyperparameters={
        "dropout": Numeric(low=0.0, high=0.8, minimum=0.0, below=1.0, neutral=0.0, stronger="up"),
        "dropout_shape": Structural(default="brick", choices=SHAPES, later=True),
    },
    check=check,
    layer=layer,
    gate=gate,
    monte_carlo=True,
)
