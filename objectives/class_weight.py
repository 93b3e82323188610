"""Class weights make the rows of rare classes count more in the training loss.

``y_k <- w_k y_k`` with ``w_k = n_k^-g / (sum_j n_j n_j^-g / n)``, where n_k of the n training rows are in class k.
Cross-entropy is linear in the targets, so a row of class k has w_k times its loss. The mean weight of the training rows
is 1, so a learning rate means the same for every g. With g = 0 all rows count alike; with g = 1 all classes do, which
scikit-learn calls `balanced`.

Only the training loss is weighted. `val_loss` and `val_accuracy` are those of the rows as they are, so both may get
worse while rare classes get better. If rows have weights (`--weights`), n_k is the sum of the weights of class k. With
label smoothing, `label_smoothing+class_weight` is the loss of torch, which weights the smooth targets; in the other
order, w_k is the weight of the whole row.

Shapes: targets ``groups or slots x batch x outputs`` to ``slots x batch x outputs``. Hyperparameters searched: the
exponent g, named `class_weight`.

Source: scikit-learn's `compute_class_weight("balanced")`, after G. King and L. Zeng, "Logistic regression in rare
events data" (Political Analysis, 2001); ``torch.nn.CrossEntropyLoss(weight=w, reduction="none")``. Y. Cui et al.,
"Class-balanced loss based on effective number of samples" (CVPR 2019) also has weights between equal ones and 1 / n_k.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values
from search.technique.layout import padded


def check(context: StudyContext) -> None:
    """Refuse regression, which has no classes."""
    if context.data.task != "classification":
        raise ValueError(f"it needs classification, but {context.data.name!r} is {context.data.task}")


def weights(sizes: list[float], exponent: float) -> list[float]:
    """Return the weight of each class; a class without training rows has weight 0."""
    # Shares instead of sizes give the same weights. One number at a time, because `pow` rounds a tensor's by its place.
    total = math.fsum(sizes)
    raw = [(size / total) ** -exponent if size > 0 else 0.0 for size in sizes]
    mean = math.fsum(one * size for one, size in zip(raw, sizes, strict=True)) / total
    return [one / mean for one in raw]


def start(values: Values) -> dict[str, Tensor]:
    """Return the weight of each class in each slot, ``slots x outputs``; 0 in the padding."""
    sizes = list(values.class_sizes)
    padding = [0.0] * (padded(len(sizes)) - len(sizes))
    rows = [weights(sizes, exponent) + padding for exponent in values["class_weight"].tolist()]
    return {"weights": torch.tensor(rows, dtype=values.dtype, device=values.device)}


def targets(y: Tensor, values: Values) -> Tensor:
    """Return weighted targets, ``slots x batch x outputs``."""
    return values.per_slot(y) * values.state["weights"][:, None]


technique = Technique(
    name="class_weight",
    hyperparameters={"class_weight": Numeric(low=0.0, high=1.0, minimum=0.0, maximum=1.0, neutral=0.0)},
    check=check,
    start=start,
    targets=targets,
)
