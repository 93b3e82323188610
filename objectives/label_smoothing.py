"""Label smoothing: targets that are not quite certain.

``y_k <- y_k (1 - s) + s / K`` over the K classes, in training only: `val_loss` is of the true targets, `train_loss` of
the smooth ones. A strong s makes predictions less sure, so `val_loss` rises where `val_accuracy` does not fall.

Shapes: targets ``groups or slots x batch x outputs`` to ``slots x batch x outputs``. Sampled: the strength s.

Source: Szegedy et al., "Rethinking the Inception architecture for computer vision" (CVPR 2016), section 7;
`torch.nn.CrossEntropyLoss(label_smoothing=s)`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Only classes have labels."""
    if context.data.task != "classification":
        raise ValueError(f"takes classes to predict, got {context.data.name!r}, which is {context.data.task}")


def targets(y: Tensor, values: Values) -> Tensor:
    """Smooth targets; the padding, which is no class, stays zero."""
    s = values["label_smoothing"][:, None, None]
    classes = values.layout.widths[-1]
    uniform = (torch.arange(y.shape[-1], device=y.device) < classes).to(y.dtype) / classes
    return values.per_slot(y) * (1 - s) + s * uniform


technique = Technique(
    name="label_smoothing",
    hyperparameters={
        "label_smoothing": Numeric(low=1e-3, high=0.5, log=True, minimum=0.0, below=1.0, neutral=0.0, stronger="up")
    },
    check=check,
    targets=targets,
)
