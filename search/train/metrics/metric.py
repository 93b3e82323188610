"""A metric: a function of targets and predictions that every slot of a pack is scored by."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from search.train.metrics.objective import Direction, Objective, Task

Function = Callable[..., Tensor]
_NAME = re.compile(r"val_[A-Za-z0-9_]{1,60}")


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric of predictions for validation rows.

    The function is called as ``function(targets, predictions)``, and as ``function(targets, predictions, weights)`` if
    rows have weights. It returns a tensor ``(slots,)``. The result for a slot must depend on that slot's predictions
    only (contract C3, docs/design.md). Everything is float64, class numbers are int64:

    - classification: `targets` are class numbers ``(rows,)``, `predictions` class probabilities
      ``slots x rows x classes``.
    - regression: both are in the units of the data, `targets` ``rows x outputs`` and `predictions`
      ``slots x rows x outputs``.
    - `weights` are the weights of the rows, ``(rows,)``: scikit-learn's ``sample_weight``.

    Attributes:
        name: its name, which begins with ``val_``.
        function: the function.
        direction: "minimize" or "maximize".
        task: "classification" or "regression"; None for both.
        best: the value of a perfect prediction, if it is known; the pruners curve and forecast need it.
        label: what sentences and axes call it; by default its name.

    Raises:
        ValueError: the name or the direction is not allowed, or the function cannot be called.
    """

    name: str
    function: Function
    direction: Direction = "minimize"
    task: Task | None = None
    best: float | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a metric's name is val_ and letters, digits or underscores, got {self.name!r}")
        if self.direction not in ("minimize", "maximize"):
            raise ValueError(f"metric {self.name}: direction is minimize or maximize, got {self.direction!r}")
        if self.task not in ("classification", "regression", None):
            raise ValueError(f"metric {self.name}: task is classification, regression or None, got {self.task!r}")
        if not callable(self.function):
            raise ValueError(f"metric {self.name}: function must be a function of targets and predictions")

    @property
    def objective(self) -> Objective:
        """The metric as an objective."""
        return Objective(self.name, self.direction, self.best, self.label, self.task)

    def __call__(self, targets: Tensor, predictions: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the metric of each slot, float64 ``(slots,)``; NaN where a prediction is not finite.

        Args:
            targets: class numbers ``(rows,)``, or ``rows x outputs``.
            predictions: ``slots x rows x outputs``.
            weights: the weights of the rows, ``(rows,)``.

        Raises:
            ValueError: the function returns something else than a number for each slot.
        """
        finite = predictions.isfinite().flatten(1).all(1)
        # The function sees no NaN, so that it need not expect any.
        sound = torch.where(finite[:, None, None], predictions, 0.0)
        found = self.function(targets, sound) if weights is None else self.function(targets, sound, weights)
        if not isinstance(found, Tensor) or found.shape != (len(predictions),):
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"it must return a tensor of shape (slots,), ({len(predictions)},) here, but returned {got}"
            )
        return torch.where(finite, found.double(), torch.nan)
