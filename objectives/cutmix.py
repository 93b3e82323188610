"""Cutmix replaces a part of a training example's features by those of another one, and mixes their targets alike.

With the probability `cutmix`, an example x of class y gets features of its partner x' of class y' in the minibatch:

    x_j <- x'_j  where  u_j < u,      y <- (1 - s) y + s y'

u is uniform in [0, 1] for each example and u_j for each of its features; s is the share of the features that were
replaced. Partners are drawn at random, anew in each step. In a regression the standardised targets are mixed, which
fits the squared error only, so other losses are refused. Validation and test examples are not changed. All trials of a
replicate share the draws.

Shapes: inputs ``groups or slots x batch x features`` and targets ``groups or slots x batch x outputs``, to ``slots x
...``. Hyperparameters searched: the probability, named `cutmix`.

Source: Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features" (ICCV 2019),
with its uniform shares, for images; for rows of a table, as here, Kadra et al., "Well-tuned simple nets excel on
tabular datasets" (NeurIPS 2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values
from search.technique.layout import padded
from search.technique.partners import of_partners


def check(context: StudyContext) -> None:
    """Refuse losses for which the mixture of two targets is not what the mixture of two rows should have."""
    if context.data.task != "classification" and context.loss != "mse":
        raise ValueError(f"it needs loss mse in a regression, because it mixes targets, got loss {context.loss}")


def mix_inputs(x: Tensor, values: Values) -> Tensor:
    """Return inputs with features of their partners, ``slots x batch x padded features``."""
    return torch.where(_replaced(x.shape[1], x.shape[2], values), of_partners(x, values), values.per_slot(x))


def mix_targets(y: Tensor, values: Values) -> Tensor:
    """Return mixed targets, ``slots x batch x outputs``."""
    width = values.layout.features
    # The draws are those of the inputs, which are stored with padding.
    replaced = _replaced(y.shape[1], padded(width), values)[..., :width]
    share = replaced.sum(-1, keepdim=True).to(y.dtype) / width
    return (1 - share) * values.per_slot(y) + share * of_partners(y, values)


def _replaced(batch: int, stored: int, values: Values) -> Tensor:
    """Return which features are replaced, ``slots x batch x stored features``."""
    chosen = values.uniform("rows", batch, 1) < values["cutmix"][:, None, None]
    return chosen & (values.uniform("features", batch, stored) < values.uniform("shares", batch, 1))


technique = Technique(
    name="cutmix",
    hyperparameters={"cutmix": Numeric(low=0.0, high=1.0, minimum=0.0, maximum=1.0, neutral=0.0, stronger="up")},
    check=check,
    input=mix_inputs,
    targets=mix_targets,
)
