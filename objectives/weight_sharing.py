"""Several networks share the weights of one, and predict together: a batch ensemble.

Network m of M has a bias b_m of its own in each layer, and factors r_m and s_m on what enters and what leaves it:

    h' = a(((h * r_m) W) * s_m + b_m)    for each layer, with W shared

So M networks have hardly more parameters than one. The factors r_m on the inputs start as random signs, +1 or -1, which
let the networks differ; all others start at 1. The networks train on the same minibatches, by the mean of their losses,
and a prediction is the mean of their probabilities, or of their values.

Shapes: activations ``slots x (M x batch) x width``; W is ``slots x inputs x outputs``, and r, s and b are
``slots x M x width``. Hyperparameters searched: none by default; the recipe searches M, named `members`.

Source: Wen, Tran and Ba, "BatchEnsemble: an alternative approach to efficient ensemble and lifelong learning" (ICLR
2020); the start of the factors is that of Gorishniy, Kotelnikov and Babenko, "TabM: advancing tabular deep learning
with parameter-efficient ensembling" (ICLR 2025). TabM's last layers are not shared; here they are, as in BatchEnsemble.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Field, Structural, StudyContext, Technique, Value, Values


def check(context: StudyContext) -> None:
    """Refuse to go on from another network, whose weights would be changed by the random signs."""
    if "fine_tune" in context.techniques:
        raise ValueError(
            "it does not go with fine_tune: the networks start with random signs of what the source learnt"
        )


def members(structure: Mapping[str, Value]) -> int:
    """Return the number of networks that share the weights."""
    return int(structure["members"])


def init(current: Tensor, unit: Tensor, field: Field, _values: Values) -> Tensor:
    """Return random signs for the factors on the inputs, ``slots x M x features``; all else stays as it is."""
    if field.kind != "input_scale" or field.layer > 0:
        return current
    return torch.where(unit < 0.5, -1.0, 1.0).to(current)


technique = Technique(
    name="weight_sharing",
    hyperparameters={"members": Structural(default=8, minimum=1, maximum=64, neutral=1)},
    check=check,
    init=init,
    members=members,
)
