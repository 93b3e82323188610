"""The result of the overfit check for one batch, and how its numbers read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.technique import Value


@dataclass(frozen=True)
class Fit:
    """The result for one batch; losses are in evaluation mode, without penalties.

    Attributes:
        rows: the number of rows in the batch.
        fitted: whether the loss fell below the threshold.
        limited: whether it did not, but came as low as is possible where rows contradict each other, or nearly do.
        loss: the first loss below the threshold, else the lowest one; infinite if none was finite.
        threshold: 0.01 ln(classes) for classification, 0.001 times the constant predictor's loss for regression.
        constant: the loss of the best constant predictor.
        floor: the lowest possible loss, above 0 where rows with equal inputs have different targets.
        steps: the number of steps after which the loss was reached.
        lr: the learning rate at which it was reached.
        why: what is wrong if the batch was not fitted, or what is worth knowing if it was; may be empty.
    """

    rows: int
    fitted: bool
    limited: bool
    loss: float
    threshold: float
    constant: float
    floor: float
    steps: int
    lr: float
    why: str = ""

    def __str__(self) -> str:
        place = f"after {self.steps:,} steps at lr={self.lr:.3g}"
        if self.fitted:
            text = f"fitted: loss {self.loss:.3g} < {self.threshold:.3g} {place}"
        elif math.isfinite(self.loss):
            text = f"not fitted: loss {self.loss:.3g} at best ({place}), not < {self.threshold:.3g}"
        else:
            text = "not fitted"
        return f"{text}; {self.why}" if self.why else text


def format_span(rates: Sequence[float]) -> str:
    """Return the range of learning rates as ``0.0001 to 0.01``."""
    low, high = f"{min(rates):.3g}", f"{max(rates):.3g}"
    return low if low == high else f"{low} to {high}"


def format_value(value: Value) -> str:
    """Return a hyperparameter's value to three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
