"""Dropout variance penalises the variance of predictions over several passes with dropout.

``objective_s = loss_s + lambda_s * mean over examples and outputs of Var_t(f_t)``

``f_1 ... f_T`` are the outputs of T forward passes of the minibatch, each with its own dropout: class probabilities, or
standardised values in regression. The training pass is the first of the T. The variance is unbiased, so lambda means
the same for every T.

Shapes: predictions ``slots x batch x outputs`` to ``(slots,)``. Hyperparameters searched: the strength lambda, named
`dropout_variance`; T, named `dropout_variance_passes`, is 2 unless a study sets it.

Source: the variance is the model's part of the predictive variance in Gal and Ghahramani, "Dropout as a Bayesian
approximation" (ICML 2016). As a penalty it is the Pi-model of Laine and Aila, "Temporal ensembling for semi-supervised
learning" (ICLR 2017), on labelled rows: for T = 2 the variance is half the squared difference of the two passes. Each
pass is one with `torch.nn.Dropout` in training mode.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Batch, Numeric, Structural, StudyContext, Technique, Values

_STOCHASTIC = ("dropout", "input_dropout")


def check(context: StudyContext) -> None:
    """Refuse a study without dropout, in which there is no variance."""
    if not set(_STOCHASTIC) & set(context.techniques):
        raise ValueError(f"it needs {' or '.join(_STOCHASTIC)} in the same study, got {'+'.join(context.techniques)}")


def loss(batch: Batch, values: Values) -> Tensor:
    """Return ``lambda * mean variance`` of the passes, ``(slots,)``."""
    count = int(values.structure["dropout_variance_passes"])
    outputs = [batch.predictions, *(batch.forward(batch.x) for _ in range(count - 1))]
    if batch.task == "classification":
        padding = torch.arange(batch.predictions.shape[-1], device=values.device) >= batch.outputs
        hidden = padding * -1e30
        outputs = [(logits + hidden).softmax(-1) for logits in outputs]
    mean = sum(outputs[1:], outputs[0]) / count
    differences = [output - mean for output in outputs]
    # Products, because the backward pass of `square` takes twice as long.
    squares = [difference * difference for difference in differences]
    total = sum(squares[1:], squares[0]).sum((1, 2))
    return values["dropout_variance"] * total / ((count - 1) * batch.outputs * batch.x.shape[1])


technique = Technique(
    name="dropout_variance",
    hyperparameters={
        "dropout_variance": Numeric(low=0.1, high=100.0, log=True, minimum=0.0, neutral=0.0, stronger="up"),
        "dropout_variance_passes": Structural(default=2, minimum=2),
    },
    check=check,
    loss=loss,
)
