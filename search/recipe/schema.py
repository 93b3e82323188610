"""The tables of a recipe: their fields, defaults and rules."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator, model_validator

from search.errors import clip
from search.storage.fields import Part
from search.train.metrics.objective import BUILT_IN, OF_WEIGHTS

SamplerName = Literal["tpe", "random", "grid", "gp", "cmaes", "qmc", "nsgaii"]
PrunerName = Literal["halving", "hyperband", "median", "curve", "forecast", "pareto", "none"]
ScaleName = Literal["standard", "unit", "robust", "quantile", "none"]
LossName = Literal["cross_entropy", "mse", "l1", "huber"]
PrecisionName = Literal["fp32", "tf32", "bf16"]
ValidationName = Literal["train", "half-of-test", "test"]
ColumnKind = Literal["number", "category", "date", "time", "drop"]
WatchName = Literal["test", "weight_means"]

MEASURED = ("train_loss", "train_objective", *(name for name in BUILT_IN if name not in OF_WEIGHTS), "sparsity")
"""The metrics that a trial's summary holds at the best and at the last epoch, as `best_*` and `final_*`.

It also holds the user's own metrics; their names begin with ``val_``.
"""
ALWAYS = ("val_loss", "val_accuracy", "val_rmse")
"""The metrics of predictions that are measured each epoch in every study of their task."""
WATCHED: Mapping[WatchName, tuple[str, ...]] = {
    "test": ("test_loss", "test_accuracy", "test_rmse"),
    "weight_means": ("weight_means",),
}
"""The metrics that the summary holds as well if the recipe watches them."""

MOST_POINTS = 100_000
MOST_REPLICATES = 1000


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("takes a number, a word, true or false")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError("takes numbers of at most 64 bits")
    return value


# These types are strict: true is not the number 1, and "3" is not the number 3.
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# With one validator instead of a union, the message is about the value and not about the first type of the union.
Scalar = Annotated[bool | int | float | str, PlainValidator(_scalar)]


def _share(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("takes a file or a fraction of all rows")
    return value


Share = Annotated[int | float | str, PlainValidator(_share)]


def _replicates(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if value != "auto" and not (whole and 1 <= value <= MOST_REPLICATES):  # type: ignore[operator]
        raise ValueError(f"takes a whole number from 1 to {MOST_REPLICATES:,}, or auto")
    return value


Replicates = Annotated[int | Literal["auto"], PlainValidator(_replicates)]


def _until(value: object) -> float:
    text = value.strip() if isinstance(value, str) else value
    percent = isinstance(text, str) and text.endswith("%")
    try:
        share = float(text.removesuffix("%")) if isinstance(text, str) else text
    except ValueError:
        share = None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < (100 if percent else 1):
        raise ValueError("takes a share of the best value between 0 and 1, such as 0.1% or 0.001")
    return float(f"{share / 100:.12g}") if percent else float(share)


Until = Annotated[float, PlainValidator(_until)]
# A metric that is not built in is the user's own, and is known only once its file is loaded (`search.recipe.metrics`).
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]


class Range(Part):
    """The range of a searched hyperparameter: `low` to `high` (`log` for a logarithmic scale), or `choices`.

    With `off`, or with the choice "off", the hyperparameter may also be at its neutral value.
    """

    off: bool = False
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
            raise ValueError(f"needs low > 0 on a log scale, got {self.low:g}:{self.high:g}:log")
        return self


class Pruner(Part):
    """The pruner, which judges the trials of a cohort among their peers; see `search.choose.pruners`."""

    name: PrunerName = "halving"
    reduction_factor: Whole = Field(default=3, ge=2)
    min_epochs: Whole | None = Field(default=None, ge=1, description="the first rung; the default is the pruner's own")
    interval: Whole = Field(default=10, ge=1, description="the number of epochs between rungs (median)")


class DataSet(Part):
    """The data set, how it is scaled and how it is split; `search.data.load` explains each field."""

    dataset: str = Field(default="digits", description="a name, or a path relative to the recipe's folder")
    target: str | None = Field(default=None, min_length=1, description="the column of a table to predict")
    scale: ScaleName = "standard"
    split: tuple[Real, Real, Real] = (0.6, 0.2, 0.2)
    val: Share | None = Field(default=None, description="a file, or a fraction of all rows instead of that in split")
    test: Share | None = Field(default=None, description="a file, or a fraction of all rows; 0 for no test rows")
    group: str | None = Field(default=None, min_length=1, description="the column whose groups are not torn apart")
    time: str | None = Field(default=None, min_length=1, description="the column by which the parts follow one another")
    weights: str | None = Field(default=None, min_length=1, description="the column of row weights")
    folds: Whole = Field(default=0, ge=0, description="the folds of a cross-validation; 0 for a single split")
    repeats: Whole = Field(default=1, ge=1, le=1000, description="how often the rows are split into folds")
    validation: ValidationName = Field(default="train", description="where validation rows come from; see search.data")
    seed: Whole = Field(default=0, ge=0, description="the seed of the split, and of the rows of a synthetic task")
    options: Mapping[str, Any] = Field(
        default_factory=dict, description="for a synthetic task: n, sigma ...; for a file: task, drop ..."
    )
    columns: Mapping[str, ColumnKind] = Field(
        default_factory=dict, description="the kind of some columns of a table, where the one recognised is wrong"
    )

    @model_validator(mode="after")
    def _repeats_folds(self) -> DataSet:
        if self.repeats > 1 and not self.folds:
            raise ValueError(f"repeats needs folds, got {self.repeats} repeats of one split")
        return self


class Setting(Part):
    """One explicit setting of a study that lists its settings instead of searching a space.

    `published` holds figures that somebody else measured at this setting, by the name of a summary metric
    (``final_test_accuracy``, ``best_val_loss`` ...). A run prints them next to its own.
    """

    name: str = Field(default="", max_length=120, description="the label in tables; by default the values")
    set: Mapping[str, Scalar] = Field(default_factory=dict)
    published: Mapping[str, Real] = Field(default_factory=dict)
    study: str = Field(default="", description="the earlier study that it was taken from, if it was")
    trial: Whole | None = Field(default=None, ge=0, description="the trial of that study")

    @property
    def label(self) -> str:
        """The label of the setting in tables."""
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


class EarlierTrial(Part):
    """A finished trial of an earlier study: its rank there, and what it says about what is searched."""

    rank: Real = Field(ge=0, lt=1, description="the share of the trials of its study that are better")
    params: Mapping[str, Scalar] = Field(default_factory=dict, description="the values of searched parameters")


class Earlier(Part):
    """An earlier study from which a search began, and its trials, by which TPE draws the first ones.

    Values of studies on different data cannot be pooled, so each trial has its rank. The settings that were taken from
    the study are among the recipe's `settings`.
    """

    study: str
    trials: tuple[EarlierTrial, ...] = ()
