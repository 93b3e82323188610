"""What an objective is: a metric with its direction. The names that need no file of the user's.

Nothing here imports torch, so that a recipe is validated before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from search.errors import RequestError, unknown

Direction = Literal["minimize", "maximize"]
"""The directions, in Optuna's words."""
Task = Literal["classification", "regression"]
Number = TypeVar("Number")


@dataclass(frozen=True)
class Objective:
    """A metric of a trial with its direction.

    Code that ranks trials compares `loss`, which is lower for the better one whatever the direction.

    Attributes:
        name: the name of the metric.
        direction: whether less or more of it is better.
        best: the value of a perfect trial, which no trial exceeds; None if there is none, or none is known.
        label: what sentences and axes call it.
        task: the task of the data that it is for; None for both.
        common: whether all replicates of a trial are taken at the same epoch, that of their best mean, as in a
            cross-validation; otherwise each is taken at its own best epoch.
    """

    name: str
    direction: Direction = "minimize"
    best: float | None = None
    label: str = ""
    task: Task | None = None
    common: bool = False

    @property
    def is_loss(self) -> bool:
        """Whether it is the validation loss."""
        return self.name == "val_loss"

    @property
    def sign(self) -> float:
        """What a value is multiplied by to become a loss: 1, or -1 if it is to be maximised."""
        return -1.0 if self.direction == "maximize" else 1.0

    @property
    def worst(self) -> float:
        """The value of a trial that never was finite: infinity, or minus infinity if it is to be maximised."""
        return self.sign * float("inf")

    def loss(self, value: Number) -> Number:
        """Return a value, or an array of values, with the sign that makes it a loss."""
        return -value if self.direction == "maximize" else value  # type: ignore[operator]

    def gap(self, value: float) -> float:
        """Return how far a value is from `best`, which must be known; 0 is a perfect trial."""
        assert self.best is not None
        return self.loss(value) - self.loss(self.best)

    def better(self, one: float, other: float) -> bool:
        """Return whether one value is better than another."""
        return self.loss(one) < self.loss(other)

    @property
    def superlative(self) -> str:
        """The word for the best value: "lowest" or "highest"."""
        return "highest" if self.direction == "maximize" else "lowest"

    @property
    def comparative(self) -> str:
        """The word for a worse value: "higher" or "lower"."""
        return "lower" if self.direction == "maximize" else "higher"

    @property
    def shown(self) -> str:
        """What sentences and axes call it."""
        return self.label or self.name


VAL_LOSS = Objective("val_loss", "minimize", 0.0, "validation loss")

BUILT_IN: Mapping[str, Objective] = {
    one.name: one
    for one in (
        VAL_LOSS,
        Objective("val_accuracy", "maximize", 1.0, "validation accuracy", "classification"),
        Objective("val_balanced_accuracy", "maximize", 1.0, "validation balanced accuracy", "classification"),
        Objective("val_f1", "maximize", 1.0, "validation macro F1", "classification"),
        Objective("val_roc_auc", "maximize", 1.0, "validation ROC AUC", "classification"),
        Objective("val_average_precision", "maximize", 1.0, "validation average precision", "classification"),
        Objective("val_brier", "minimize", 0.0, "validation Brier score", "classification"),
        Objective("val_mcc", "maximize", 1.0, "validation Matthews correlation", "classification"),
        Objective("val_rmse", "minimize", 0.0, "validation RMSE", "regression"),
        Objective("val_mae", "minimize", 0.0, "validation MAE", "regression"),
        Objective("val_r2", "maximize", 1.0, "validation R2", "regression"),
        Objective("val_mape", "minimize", 0.0, "validation MAPE", "regression"),
        Objective("sparsity", "maximize", 1.0, "share of weights with |w| < 1e-6"),
        Objective("weight_norm", "minimize", 0.0, "Euclidean norm of all weights"),
    )
}
"""The objectives that every study may name."""
OF_WEIGHTS = ("sparsity", "weight_norm")
"""Those that measure the weights; they say nothing about predictions, so none of them is a study's first objective."""


def validate_names(objectives: Iterable[str], metrics: Iterable[str], own: Iterable[str] = ()) -> None:
    """Refuse names that no metric has.

    Args:
        objectives: the names of objectives.
        metrics: the names of metrics of predictions.
        own: the names of the user's own metrics.

    Raises:
        RequestError: a name is unknown.
    """
    for kind, wanted in (("objective", objectives), ("metric", metrics)):
        allowed = {*own, *BUILT_IN} - set(OF_WEIGHTS if kind == "metric" else ())
        for name in wanted:
            if name not in allowed:
                raise RequestError(f"{unknown(kind, name, allowed)}; --metric FILE defines one of your own")


def for_task(task: str) -> list[str]:
    """Return the names of the metrics of predictions for data of a task."""
    return [name for name, one in BUILT_IN.items() if one.task in (None, task) and name not in OF_WEIGHTS]
