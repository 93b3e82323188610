"""The objectives of a study: the values of a trial, and the Pareto front of several trials.

The first objective is a metric of predictions, by default the validation loss; it decides which epoch is the best. A
study of several objectives seeks their Pareto front, the trials that no other dominates. One trial dominates another if
it is no worse in every objective and better in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from search.recipe import Recipe
from search.recipe.constraints import PARAMETERS, Constraint, parsed
from search.record.curves import SUMMARY, Curves
from search.record.feasible import feasible
from search.record.summary import at_best, objective
from search.train.metrics.objective import BUILT_IN, Direction, Objective

_RUNG = "rung:"

Losses = NDArray[np.float64]
"""Objectives that are all to be minimised, ``trials x objectives``."""


@dataclass(frozen=True)
class Objectives:
    """The objectives of a study by name.

    Each is taken at every replicate's best epoch, which is that of the best value of the first one and the one whose
    weights are kept; then the mean is taken over replicates. In a cross-validation, the best epoch is the same for all.

    Attributes:
        names: the names, in order.
        own: the objectives among them that are not built in, in any order.
        common: whether the best epoch is that of the best mean over replicates (`Objective.common`).
        constraints: what a trial must meet to be chosen.
    """

    names: tuple[str, ...] = ("val_loss",)
    own: tuple[Objective, ...] = ()
    common: bool = False
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def stored(cls, recipe: Mapping[str, Any], directions: Sequence[StudyDirection]) -> Objectives:
        """Return the objectives of a stored study, from the fields of its recipe and the directions that it has."""
        names = tuple(recipe.get("objective", VAL_LOSS.names))
        told = {name: one.name.lower() for name, one in zip(names, directions, strict=False)}
        own = [Objective(name, "maximize" if told.get(name) == "maximize" else "minimize") for name in names]
        folds = bool(recipe.get("data", {}).get("folds"))
        constraints = parsed(recipe.get("constraints", ()))
        return cls(names, tuple(one for one in own if one.name not in BUILT_IN), folds, constraints)

    @classmethod
    def of_recipe(cls, recipe: Recipe, own: Sequence[Objective] = ()) -> Objectives:
        """Return the objectives of a recipe; `own` are those that are not built in."""
        return cls(recipe.objective, tuple(own), recipe.data.folds > 0, parsed(recipe.constraints))

    @property
    def each(self) -> list[Objective]:
        """The objectives, in order."""
        known = {**BUILT_IN, **{one.name: one for one in self.own}}
        return [replace(known[name], common=self.common) for name in self.names]

    @property
    def first(self) -> Objective:
        """The first objective, which decides which epoch is the best."""
        return self.each[0]

    @property
    def several(self) -> bool:
        """Whether there are several, so that the study seeks a Pareto front."""
        return len(self.names) > 1

    @property
    def directions(self) -> list[Direction]:
        """The directions in Optuna's words, in order."""
        return [one.direction for one in self.each]

    def of(self, curves: Curves) -> list[float]:
        """Return a trial's values so far; the first is the worst there is if a replicate's never was finite."""
        first = self.first
        others = [float(at_best(curves, name, first).mean()) for name in self.names[1:]]
        return [objective(curves, first), *others]

    def violations(self, curves: Curves, parameters: int) -> dict[str, float]:
        """Return how far a trial is beyond each constraint, 0 or less if it is within.

        Args:
            curves: the trial's curves so far, which count at each replicate's best epoch.
            parameters: the number of trainable numbers of its network.
        """

        def measured(metric: str) -> float:
            return parameters if metric == PARAMETERS else float(at_best(curves, metric, self.first).mean())

        return {str(one): one.violation(measured(one.metric)) for one in self.constraints}

    def losses(self, values: Sequence[Sequence[float]]) -> Losses:
        """Return the values with the sign that makes each of them a loss, ``trials x objectives``."""
        signs = [one.sign for one in self.each]
        return np.array(values, dtype=np.float64).reshape(-1, len(signs)) * signs

    def report(self, trial: optuna.Trial, rung: int, curves: Curves) -> None:
        """Report a running trial's values at a rung; several are stored as an attribute, as Optuna reports only one."""
        values = self.of(curves)
        if not self.several:
            trial.report(values[0], rung)
            return
        best = values[:1]
        for one, at_best_epoch in zip(self.each[1:], values[1:], strict=True):
            now = float(curves.mean(one.name)[-1])
            best.append(now if one.better(now, at_best_epoch) else at_best_epoch)
        trial.set_user_attr(f"{_RUNG}{rung}", {"values": values, "hoped": best})

    def front(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the feasible trials that no other dominates, by the first objective; of equal ones only the first.

        A trial is feasible if it is complete and violates no constraint.
        """
        chosen = feasible(trials)
        return [chosen[index] for index in front(self.losses([trial.values for trial in chosen]))]

    def value(self, trial: FrozenTrial) -> float | None:
        """Return a trial's first objective; of a pruned trial the best so far, None without one."""
        if trial.values:
            return float(trial.values[0])
        best: float | None = trial.user_attrs.get(SUMMARY, {}).get(f"best_{self.names[0]}")
        return best


VAL_LOSS = Objectives()
"""The one objective of most studies."""


def reported(trial: FrozenTrial) -> dict[int, list[float]]:
    """Return a trial's values at each rung that it has reached; of a finished trial also at some other epochs.

    Those are `summary.shown_curve`, which nothing is judged by.
    """
    values = {rung: [value] for rung, value in trial.intermediate_values.items()}
    for name, stored in trial.user_attrs.items():
        if name.startswith(_RUNG):
            values[int(name.removeprefix(_RUNG))] = stored["values"]
    return values


def hoped(trial: FrozenTrial, rung: int) -> list[float]:
    """Return the best that can be hoped of a trial of several objectives at a rung.

    For each objective that is the better of its values at the best epoch so far and at the rung.
    """
    values: list[float] = trial.user_attrs[f"{_RUNG}{rung}"]["hoped"]
    return values


def front(losses: Losses) -> list[int]:
    """Return the indices of the trials that no other dominates, by the first objective; of equal ones the first."""
    indices: list[int] = []
    # Sorted by all objectives in turn, a trial comes after each that dominates it.
    for index in np.lexsort(losses.T[::-1]).tolist():
        if not (losses[indices] <= losses[index]).all(1).any():
            indices.append(index)
    return indices


def dominated(trial: Losses, losses: Losses) -> int:
    """Return how many of the trials with these losses dominate a trial."""
    return int(((losses <= trial).all(1) & (losses < trial).any(1)).sum())


def hypervolume(losses: Losses, reference: Sequence[float]) -> float:
    """Return the volume of the points that the losses dominate, bounded by a reference point.

    It is the sum of slices along the last objective: between two of its values, the volume in the others is constant.

    Source: Zitzler and Thiele, "Multiobjective evolutionary algorithms" (IEEE Trans. Evolutionary Computation 1999).
    """
    bound = np.asarray(reference, dtype=np.float64)
    inside = losses[(losses < bound).all(1)]
    if not len(inside):
        return 0.0
    if len(bound) == 1:
        return float(bound[0] - inside.min())
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    ends = np.append(inside[1:, -1], bound[-1])
    total = 0.0
    for count, (start, end) in enumerate(zip(inside[:, -1], ends, strict=True), 1):
        if end > start:
            total += float(end - start) * hypervolume(inside[:count, :-1], bound[:-1].tolist())
    return total
