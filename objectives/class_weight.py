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
from collections.abc import Sequence

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values
from search.technique.layout import padded


def check(context: StudyContext) -> None:
    """Refuse regression, which has no classes."""
    if context.data.task != "classification":
        raise ValueError(f"it needs classification, but {context.data.name!r} is {context.data.task}")


def weights(sizes: Sequence[float], exponents: Tensor) -> Tensor:
    """Return the weight of each class in each slot, float64 ``slots x padded outputs``; 0 in the padding.

    A class without training rows has weight 0.

    Args:
        sizes: the number of training rows of each class.
        exponents: the exponent of each slot, ``(slots,)``.
    """
    total = math.fsum(sizes)
    # Shares instead of sizes give the same weights. The width is padded, so `pow` rounds alike in every place.
    shares = [size / total for size in sizes] + [0.0] * (padded(len(sizes)) - len(sizes))
    share = torch.tensor(shares, dtype=torch.float64, device=exponents.device).expand(len(exponents), -1)
    exponent = exponents.double()[:, None].expand_as(share)
    raw = torch.where(share > 0, torch.pow(share.contiguous(), -exponent.contiguous()), 0.0)
    mean = torch.zeros_like(raw[:, 0])
    for number, each in enumerate(shares):
        mean = mean + each * raw[:, number]
    return raw / mean[:, None]


def start(values: Values) -> dict[str, Tensor]:
    """Return the weight of each class in each slot, ``slots x padded outputs``."""
    return {"weights": weights(values.class_sizes, values["class_weight"]).to(values.dtype)}


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
