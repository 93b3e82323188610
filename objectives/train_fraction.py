"""Train fraction trains on a part of the training rows, to show what more data would do.

An epoch uses the first ``ceil(train_fraction * rows)`` rows of a random order. Each replicate has one order, so all its
trials see the same rows, and a smaller part is contained in every larger one. Validation and test rows stay the same.
With a smaller part an epoch has fewer steps, so the best epoch comes later.

Shapes: an order ``(rows,)`` becomes its first part. Hyperparameters searched: `train_fraction`. Each value is a
signature, so the trials of one value train together.

Source: Hestness et al., "Deep learning scaling is predictable, empirically" (2017); scikit-learn's `learning_curve`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from torch import Tensor

from search.technique import Structural, Technique, Value


def parse(value: object) -> Value:
    """Return a float in (0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("takes a number in (0, 1]")
    return float(value)


def rows(order: Tensor, structure: Mapping[str, Value]) -> Tensor:
    """Return the first rows of an order ``(rows,)``."""
    # The fraction as the user wrote it: 0.07 of 100 rows is 7, but the float nearest to 0.07 would give 8.
    fraction = Fraction(str(structure["train_fraction"]))
    return order[: math.ceil(fraction * len(order))]


technique = Technique(
    name="train_fraction",
    hyperparameters={
        "train_fraction": Structural(default=1.0, choices=(0.1, 0.2, 0.5, 1.0), parse=parse, neutral=1.0, searched=True)
    },
    rows=rows,
)
