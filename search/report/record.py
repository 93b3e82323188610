"""A study as its report reads it, once: its trials with their curves, the ranges searched, and facts about it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.choose import pruners
from search.data.folds import overlap
from search.record import added, summary
from search.record.ablation import Ablated, kept
from search.record.curves import CELL, CURVES, DIVERGED_AT, ENVIRONMENT, EPOCHS, TIMES, Curves, decode_times
from search.record.decision import Decision
from search.record.feasible import violated
from search.record.objectives import VAL_LOSS, Objectives, front, reported
from search.record.own import own_trials
from search.report.facts import describe, judged_on
from search.study.chosen import decided
from search.technique import Hyperparameter, Value
from search.train.constant import constant_value
from search.train.metrics.objective import VAL_LOSS as LOSS
from search.train.metrics.objective import Objective

if TYPE_CHECKING:
    from search.study.study import BaseStudy

Floats = NDArray[np.float64]
_LOSSES = {
    "cross_entropy": "cross-entropy, nats",
    "mse": "squared error, standardised targets",
    "l1": "absolute error, standardised targets",
    "huber": "Huber loss, standardised targets",
}


@dataclass(frozen=True, eq=False)
class Entry:
    """A trial.

    Attributes:
        number: the trial's number.
        state: its state: complete, pruned, fail, running or waiting.
        value: the first objective; None if it has none that is finite.
        params: the hyperparameters that the sampler chose.
        reported: the best objective so far, by the rung that judged it.
        curves: the metrics of each epoch; None if the trial is not finished.
        planned: the epochs that it trains if nothing stops it.
        diverged_at: the epoch, from 1, at which its loss stopped being finite.
        seconds: the time from the end of its first epoch to the end of its last, while its cohort trained too.
        label: the name of its setting, if the recipe lists settings.
        aim: the first objective of the study, which decides which epoch is the best.
        violates: the constraints that it violates.
    """

    number: int
    state: str
    value: float | None = None
    params: Mapping[str, Value] = field(default_factory=dict)
    reported: Mapping[int, float] = field(default_factory=dict)
    curves: Curves | None = None
    planned: int = 0
    diverged_at: int | None = None
    seconds: float = 0.0
    label: str = ""
    aim: Objective = LOSS
    violates: Sequence[str] = ()

    @property
    def objective(self) -> float:
        """The value, or the worst there is if there is none."""
        return self.aim.worst if self.value is None else self.value

    @property
    def loss(self) -> float:
        """The value with the sign that makes it a loss, by which trials are ranked; infinite if there is none."""
        return self.aim.loss(self.objective)

    @property
    def epochs(self) -> int:
        """The epochs that were trained."""
        return 0 if self.curves is None else self.curves.epochs

    @cached_property
    def objectives(self) -> Floats:
        """The objective at each replicate's best epoch, ``(replicates,)``; their mean is the value."""
        return summary.objectives(self.curves, self.aim) if self.curves is not None and self.epochs else np.empty(0)

    @property
    def best_epochs(self) -> NDArray[np.int64]:
        """Each replicate's best epoch, counted from 1, ``(replicates,)``; empty if no epoch was trained."""
        if self.curves is None or not self.epochs:
            return np.empty(0, np.int64)
        return summary.best_epochs(self.curves, self.aim)

    def at_best(self, metric: str) -> Floats:
        """Return a metric at each replicate's best epoch, ``(replicates,)``; NaN if it was not measured."""
        if self.curves is None or not self.epochs:
            return np.full(1, np.nan)
        if metric not in self.curves.metrics:
            return np.full(self.curves.replicates, np.nan)
        return summary.at_best(self.curves, metric, self.aim)


@dataclass(frozen=True, eq=False)
class Record:
    """A study, as far as its report needs it.

    Attributes:
        study: the study's name.
        entries: its trials, by number.
        searched: the distribution of each hyperparameter that is searched.
        declared: the declaration of each hyperparameter.
        facts: the facts at the head of the page, by name.
        replicates: the number of replicates of each trial.
        loss: the name of the loss in `search.train.losses`.
        metric: the name of the metric that is shown with the loss, val_accuracy or val_rmse.
        noisy: the searched hyperparameters of techniques that take part in Monte Carlo passes, such as dropout.
        rungs: the epochs at which the pruner judges.
        objectives: the metrics that the study minimises or maximises.
        title: the question that the recipe asks; "" if it asks none.
        constant: the first objective of the best constant predictor; None if it is not finite.
        metrics: the other metrics that the recipe has measured each epoch.
        slots: the number of slots of a cohort.
        added: the objectives of trials on replicates that were added after the search, by the trial's number.
        fixed_ends: the ends of ranges, as (name, end), that a search with ``--extend`` does not move.
        shared: whether the validation and the test split are the same rows.
        watched: whether the test split was measured in each epoch.
        overlap: validation rows by training rows of a fold, on average; 0 without folds.
        ablated: which techniques mattered, if `regsearch ablate` has measured it.
        decision: what the study has decided about these trials; None if it has not.
        judged_on: what the objective is measured on, such as ``359 validation rows``.
    """

    study: str
    entries: Sequence[Entry]
    searched: Mapping[str, BaseDistribution]
    declared: Mapping[str, Hyperparameter]
    facts: Mapping[str, str] = field(default_factory=dict)
    replicates: int = 1
    loss: str = "cross_entropy"
    metric: str = "val_accuracy"
    noisy: Sequence[str] = ()
    rungs: Sequence[int] = ()
    objectives: Objectives = VAL_LOSS
    title: str = ""
    constant: float | None = None
    metrics: Sequence[str] = ()
    slots: int = 1
    added: Mapping[int, Floats] = field(default_factory=dict)
    fixed_ends: Collection[tuple[str, str]] = ()
    shared: bool = False
    watched: bool = False
    overlap: float = 0.0
    ablated: Ablated | None = None
    decision: Decision | None = None
    judged_on: str = "validation rows"

    @cached_property
    def complete(self) -> list[Entry]:
        """The complete trials, the best first; those that violate a constraint come last."""
        complete = [entry for entry in self.entries if entry.state == "complete" and entry.value is not None]
        return sorted(complete, key=lambda entry: (bool(entry.violates), entry.loss, entry.number))

    @cached_property
    def feasible(self) -> list[Entry]:
        """The complete trials that violate no constraint, the best first; all if each violates one."""
        return [entry for entry in self.complete if not entry.violates] or self.complete

    @cached_property
    def pruned(self) -> list[Entry]:
        """The pruned trials that have a value, by number."""
        return [entry for entry in self.entries if entry.state == "pruned" and entry.value is not None]

    @property
    def finished(self) -> list[Entry]:
        """The complete and the pruned trials that have a value, by number."""
        return sorted([*self.complete, *self.pruned], key=lambda entry: entry.number)

    @property
    def never_finite(self) -> list[Entry]:
        """The trials whose loss was never finite."""
        return [entry for entry in self.entries if entry.state == "pruned" and entry.value is None]

    @property
    def best(self) -> Entry:
        """The complete trial with the best value; the study must have one."""
        return self.complete[0]

    @cached_property
    def chosen(self) -> Entry:
        """The trial that the study has decided for, or else the best one."""
        if self.decision is None:
            return self.best
        number = self.decision.chosen
        return next(entry for entry in self.entries if entry.number == number)

    def values(self, entry: Entry) -> list[float]:
        """Return a trial's objectives, all at the best epochs of the first one."""
        return [entry.objective, *(float(entry.at_best(name).mean()) for name in self.objectives.names[1:])]

    @cached_property
    def front(self) -> list[Entry]:
        """The feasible trials that no other one dominates, the best in the first objective first."""
        losses = self.objectives.losses([self.values(one) for one in self.feasible])
        return [self.feasible[index] for index in front(losses)]

    @property
    def aim(self) -> Objective:
        """The first objective, by which trials are ranked."""
        return self.objectives.first

    @property
    def shown_metrics(self) -> list[str]:
        """The metrics that tables show besides the objectives."""
        names = dict.fromkeys((self.metric, *self.metrics))
        return [name for name in names if name not in self.objectives.names]

    @property
    def value_label(self) -> str:
        """The label of an axis: the first objective and its unit."""
        return f"validation {self.loss_label}" if self.aim.is_loss else self.aim.shown

    @property
    def loss_label(self) -> str:
        """The label of an axis: the loss and its unit."""
        return f"loss ({_LOSSES.get(self.loss, self.loss)})"


def read(study: BaseStudy) -> Record:
    """Read a study's record from its storage."""
    trials = own_trials(study.optuna_study)
    attributes, space, recipe = study.optuna_study.user_attrs, study.space, study.recipe
    labels = recipe.setting_labels
    rungs = pruners.build(recipe.pruner, space.longest(), objectives=study.objectives).rungs()
    entries = [_entry(trial, labels, study.objectives, rungs) for trial in trials]
    first = study.objectives.first
    noisy = {name for one in study.techniques if one.monte_carlo for name in one.hyperparameters}
    return Record(
        study=study.name,
        entries=entries,
        searched=space.searched,
        declared=space.declared,
        facts=describe(
            study,
            Counter(entry.state for entry in entries),
            sum(entry.epochs for entry in entries),
            trials,
            attributes.get(ENVIRONMENT, {}),
        ),
        replicates=recipe.networks,
        loss=study.loss,
        metric="val_accuracy" if study.data.task == "classification" else "val_rmse",
        noisy=[name for name in space.searched if name in noisy],
        rungs=rungs,
        objectives=study.objectives,
        title=recipe.title,
        constant=constant_value(study.batches, study.loss, first, study.metrics),
        metrics=recipe.metrics,
        slots=recipe.ask_batch * recipe.networks,
        added=added.noted(attributes),
        fixed_ends=study.extended.fixed_ends,
        shared=recipe.data.validation == "test",
        watched="test" in recipe.watch,
        overlap=overlap(study.data),
        ablated=kept(attributes),
        decision=decided(study),
        judged_on=judged_on(study),
    )


def _entry(trial: FrozenTrial, labels: Sequence[str], objectives: Objectives, rungs: Sequence[int]) -> Entry:
    attributes = trial.user_attrs
    curves = Curves.decode(attributes[CURVES]) if CURVES in attributes else None
    times = decode_times(attributes[TIMES]) if TIMES in attributes else np.empty(0)
    objective = objectives.value(trial) if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None
    cell = attributes.get(CELL)
    return Entry(
        number=trial.number,
        state=trial.state.name.lower(),
        value=objective if objective is not None and math.isfinite(objective) else None,
        params=trial.params,
        reported={rung: values[0] for rung, values in reported(trial).items() if rung in rungs},
        curves=curves,
        planned=int(attributes.get(EPOCHS, 0)),
        diverged_at=attributes.get(DIVERGED_AT),
        seconds=float(times[-1] - times[0]) / 1000 if len(times) else 0.0,
        label=labels[cell] if labels and cell is not None else "",
        aim=objectives.first,
        violates=violated(trial),
    )
