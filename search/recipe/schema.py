"""The tables that a recipe is made of: their fields, their defaults, and one line for whatever is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator, model_validator

from search.errors import clip
from search.storage.fields import Part

SamplerName = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc", "nsgaii"]
PrunerName = Literal["halving", "hyperband", "median", "curve", "pareto", "none"]
ObjectiveName = Literal["val_loss", "sparsity", "weight_norm"]
ScaleName = Literal["standard", "unit", "none"]
LossName = Literal["cross_entropy", "mse", "l1", "huber"]
PrecisionName = Literal["fp32", "tf32", "bf16"]
ValidationName = Literal["train", "half-of-test", "test"]
WatchName = Literal["test", "weight_means"]

MEASURED = ("train_loss", "train_objective", "val_loss", "val_accuracy", "val_rmse", "sparsity")
"""The metrics that a trial's summary holds at the best and at the last epoch, as `best_*` and `final_*`."""
WATCHED: Mapping[WatchName, tuple[str, ...]] = {
    "test": ("test_loss", "test_accuracy", "test_rmse"),
    "weight_means": ("weight_means",),
}
"""The metrics that a summary holds too where the recipe watches them."""

MOST_POINTS = 100_000


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("takes a number, a word, true or false")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("takes numbers of at most 64 bits")
    return value


# Strict: true is not the number 1, nor "3" the number 3.
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# One validator, not a union's branches: the complaint is then about the value, not about its not being a boolean.
Scalar = Annotated[bool | int | float | str, PlainValidator(_scalar)]


class Range(Part):
    """What a hyperparameter is searched over: `low` to `high` (`log` for a logarithmic scale), or `choices`."""

    low: Real | None = None
    high: Real | None = None
    log: bool = False
    choices: tuple[Scalar, ...] = ()
    points: Whole | None = Field(default=None, ge=2, le=MOST_POINTS, description="how many of its values a grid takes")

    @model_validator(mode="after")
    def _whole(self) -> Range:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.points is not None:
                raise ValueError("takes either choices or low and high, not both")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"needs low < high, got {self.low:g}:{self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"needs low > 0 where it is log, got {self.low:g}:{self.high:g}:log")
        return self


class Pruner(Part):
    """How the trials of a cohort are judged among their peers; see `search.choose.pruners`."""

    name: PrunerName = "halving"
    reduction_factor: Whole = Field(default=3, ge=2)
    min_epochs: Whole | None = Field(default=None, ge=1, description="the first rung; default: the pruner's own")
    interval: Whole = Field(default=10, ge=1, description="median: epochs between rungs")


class DataSet(Part):
    """Which data, how scaled and how split."""

    dataset: str = Field(default="digits", description="a name, or a path, relative to the recipe's folder")
    target: str | None = Field(default=None, min_length=1, description="the column of a table that is predicted")
    scale: ScaleName = "standard"
    split: tuple[Real, Real, Real] = (0.6, 0.2, 0.2)
    validation: ValidationName = Field(default="train", description="where validation rows come from; see search.data")
    seed: Whole = Field(default=0, ge=0, description="of the split, and of the rows of a synthetic task")
    options: Mapping[str, Any] = Field(
        default_factory=dict, description="of a synthetic task: n, sigma ...; of a file: task, drop"
    )


class Row(Part):
    """One explicit setting of a study that lists its settings.

    `published` holds what somebody else measured at this setting, by the name of a summary metric
    (``final_test_accuracy``, ``best_val_loss`` ...); a run prints it beside its own.
    """

    name: str = Field(default="", max_length=120, description="what tables call it; default: its values")
    set: Mapping[str, Scalar] = Field(default_factory=dict)
    published: Mapping[str, Real] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.name or " ".join(f"{name}={value}" for name, value in self.set.items()) or "as set"

    @field_validator("published")
    @classmethod
    def _known(cls, published: Mapping[str, float]) -> Mapping[str, float]:
        metrics = (*MEASURED, *chain.from_iterable(WATCHED.values()))
        for name in published:
            when, _, metric = name.partition("_")
            if when not in ("best", "final") or metric not in metrics:
                raise ValueError(f"{clip(name)!r} is neither best_METRIC nor final_METRIC of {', '.join(metrics)}")
        return published
