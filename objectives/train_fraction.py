"""Train on a part of the training rows: what would more data do?

An epoch uses the first ``ceil(train_fraction * rows)`` of an order that a replicate keeps, so all its trials see the
same rows, and a smaller part is within every larger one. Validation and test rows are not touched. An epoch of a part
has fewer steps, so a small part takes more epochs to its best.

Shapes: an order ``(rows,)`` to its beginning. Sampled: `train_fraction`; each is a signature, so the trials of one part
train together.

Source: Hestness et al., "Deep learning scaling is predictable, empirically" (2017); scikit-learn's `learning_curve`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from torch import Tensor

from search.technique import Structural, Technique, Value


def parse(value: object) -> Value:
    """A float in (0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError("takes a number in (0, 1]")
    return float(value)


def rows(order: Tensor, structure: Mapping[str, Value]) -> Tensor:
    """The first of an order ``(rows,)``."""
    # As the user wrote it: 0.07 of 100 rows is 7, where the float nearest to 0.07 makes it 8.
    fraction = Fraction(str(structure["train_fraction"]))
    return order[: math.ceil(fraction * len(order))]


technique = Technique(
    name="train_fraction",
    hyperparameters={
        "train_fraction": Structural(default=1.0, choices=(0.1, 0.2, 0.5, 1.0), parse=parse, neutral=1.0, searched=True)
    },
    rows=rows,
)
