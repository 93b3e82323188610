"""The objectives of a study: the values of a trial, and the Pareto front of several trials.

The first objective is the validation loss. A study of several objectives seeks their Pareto front, the trials that no
other dominates. One trial dominates another if it is no worse in every objective and better in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from search.record.curves import SUMMARY, Curves
from search.record.summary import at_best, objective

Direction = Literal["minimize", "maximize"]
DIRECTIONS: Mapping[str, Direction] = {"val_loss": "minimize", "sparsity": "maximize", "weight_norm": "minimize"}
"""The direction of every objective, in Optuna's words."""
_RUNG = "rung:"

Losses = NDArray[np.float64]
"""Objectives that are all to be minimised, ``trials x objectives``."""


@dataclass(frozen=True)
class Objectives:
    """The objectives of a study by name; the first is the validation loss.

    Each is taken at every replicate's best epoch, which is that of its lowest validation loss and the one whose weights
    are kept; then the mean is taken over replicates.
    """

    names: tuple[str, ...] = ("val_loss",)

    @property
    def several(self) -> bool:
        """Whether there are several, so that the study seeks a Pareto front."""
        return len(self.names) > 1

    @property
    def directions(self) -> list[Direction]:
        """The directions in Optuna's words, in order."""
        return [DIRECTIONS[name] for name in self.names]

    def of(self, curves: Curves) -> list[float]:
        """Return a trial's values so far; the first is infinite if a replicate's validation loss never was finite."""
        return [objective(curves), *(float(at_best(curves, name).mean()) for name in self.names[1:])]

    def losses(self, values: Sequence[Sequence[float]]) -> Losses:
        """Return the values with the sign that makes each of them a loss, ``trials x objectives``."""
        signs = [-1.0 if direction == "maximize" else 1.0 for direction in self.directions]
        return np.array(values, dtype=np.float64).reshape(-1, len(signs)) * signs

    def report(self, trial: optuna.Trial, rung: int, curves: Curves) -> None:
        """Report a running trial's values at a rung; several are stored as an attribute, as Optuna reports only one."""
        values = self.of(curves)
        if not self.several:
            trial.report(values[0], rung)
            return
        better = {"minimize": min, "maximize": max}
        best = values[:1]
        for name, at_best_epoch in zip(self.names[1:], values[1:], strict=True):
            best.append(better[DIRECTIONS[name]](at_best_epoch, float(curves.mean(name)[-1])))
        trial.set_user_attr(f"{_RUNG}{rung}", {"values": values, "hoped": best})

    def front(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the complete trials that no other dominates, by the first objective; of equal ones only the first."""
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        return [complete[index] for index in front(self.losses([trial.values for trial in complete]))]


VAL_LOSS = Objectives()
"""The one objective of most studies."""


def reported(trial: FrozenTrial) -> dict[int, list[float]]:
    """Return a trial's values at each rung that it has reached."""
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


def value(trial: FrozenTrial) -> float | None:
    """Return the validation loss, a trial's first objective; of a pruned trial the best so far, None without one."""
    if trial.values:
        return float(trial.values[0])
    best: float | None = trial.user_attrs.get(SUMMARY, {}).get("best_val_loss")
    return best


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
