"""A penalty on the variance of Monte Carlo dropout: predictions that dropout's noise hardly moves.

``loss_s + lambda_s * mean over examples and outputs of Var_t(f_t)``, where ``f_1 ... f_T`` are the outputs of T forward
passes of the minibatch, each with its own dropout: class probabilities, or standardised values in regression. The
variance is the unbiased one, so lambda means the same for every T; the training pass is the first of the T.

Shapes: predictions ``slots x batch x outputs`` to ``(slots,)``. Sampled: the strength lambda.

Source: the variance is the model's part of the predictive variance in Gal and Ghahramani, "Dropout as a Bayesian
approximation" (ICML 2016), which is differentiable; as a penalty Laine and Aila, "Temporal ensembling for
semi-supervised learning" (ICLR 2017), the Pi-model, on labelled rows: for T = 2 the variance is half the squared
difference of the two passes; each pass as with `torch.nn.Dropout` in training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Batch, Numeric, Structural, StudyContext, Technique, Values

_STOCHASTIC = ("dropout", "input_dropout")


def check(context: StudyContext) -> None:
    """Without noise there is no variance."""
    if not set(_STOCHASTIC) & set(context.techniques):
        raise ValueError(f"takes {' or '.join(_STOCHASTIC)} beside it, got {'+'.join(context.techniques)}")


def loss(batch: Batch, values: Values) -> Tensor:
    """``lambda * mean variance`` of the passes, ``(slots,)``."""
    count = int(values.structure["dropout_variance_passes"])
    outputs = [batch.predictions, *(batch.forward(batch.x) for _ in range(count - 1))]
    if batch.task == "classification":
        padding = torch.arange(batch.predictions.shape[-1], device=values.device) >= batch.outputs
        hidden = padding * -1e30
        outputs = [(logits + hidden).softmax(-1) for logits in outputs]
    mean = sum(outputs[1:], outputs[0]) / count
    differences = [one - mean for one in outputs]
    # Not `square`: its backward pass takes twice as long.
    squares = [one * one for one in differences]
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
