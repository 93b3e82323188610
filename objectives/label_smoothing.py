"""Label smoothing mixes the training targets with the uniform distribution over classes.

``y_k <- y_k (1 - s) + s / K`` for K classes, in training only: `train_loss` is computed with the smooth targets,
`val_loss` with the true ones. A large s makes predictions less confident, so `val_loss` may rise although
`val_accuracy` does not fall.

Shapes: targets ``groups or slots x batch x outputs`` to ``slots x batch x outputs``. Hyperparameters searched: the
strength s, named `label_smoothing`.

Source: Szegedy et al., "Rethinking the Inception architecture for computer vision" (CVPR 2016), section 7;
`torch.nn.CrossEntropyLoss(label_smoothing=s)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Refuse regression, which has no classes."""
    if context.data.task != "classification":
        raise ValueError(f"it needs classification, but {context.data.name!r} is {context.data.task}")


def targets(y: Tensor, values: Values) -> Tensor:
    """Return smooth targets, ``slots x batch x outputs``; the padding, which is not a class, stays zero."""
    s = values["label_smoothing"][:, None, None]
    classes = values.layout.widths[-1]
    uniform = (torch.arange(y.shape[-1], device=y.device) < classes).to(y.dtype) / classes
    # A row whose targets another technique has weighted keeps its weight; the sum of others is exactly 1.
    return values.per_slot(y) * (1 - s) + s * uniform * values.per_slot(y.sum(-1, keepdim=True))


technique = Technique(
    name="label_smoothing",
    hyperparameters={
        "label_smoothing": Numeric(low=1e-3, high=0.5, log=True, minimum=0.0, below=1.0, neutral=0.0, stronger="up")
    },
    check=check,
    targets=targets,
)
