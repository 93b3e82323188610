"""What a study minimises and maximises: the values of a trial, and which of several trials none other beats.

One objective is the validation loss. A study of several seeks their Pareto front: the trials that no other dominates,
which is to be no worse in every objective and better in one.
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
"""Of every objective that there is, as Optuna names them."""
_RUNG = "rung:"

Losses = NDArray[np.float64]
"""Objectives that are all to be minimised, ``trials x objectives``."""


@dataclass(frozen=True)
class Objectives:
    """The objectives of a study by name; the first is the validation loss.

    All are taken at each replicate's best epoch, that of its lowest validation loss, which is the one whose weights
    are kept; then the mean over replicates.
    """

    names: tuple[str, ...] = ("val_loss",)

    @property
    def several(self) -> bool:
        """Whether this is a Pareto study."""
        return len(self.names) > 1

    @property
    def directions(self) -> list[Direction]:
        """Optuna's, in order."""
        return [DIRECTIONS[name] for name in self.names]

    def of(self, curves: Curves) -> list[float]:
        """A trial's values so far; the first is infinite if some replicate's validation loss never was finite."""
        return [objective(curves), *(float(at_best(curves, name).mean()) for name in self.names[1:])]

    def losses(self, values: Sequence[Sequence[float]]) -> Losses:
        """Values, all to be minimised, ``trials x objectives``."""
        signs = [-1.0 if direction == "maximize" else 1.0 for direction in self.directions]
        return np.array(values, dtype=np.float64).reshape(-1, len(signs)) * signs

    def report(self, trial: optuna.Trial, rung: int, curves: Curves) -> None:
        """Keep what a running trial has at a rung; of several objectives as an attribute: Optuna reports only one."""
        values = self.of(curves)
        if not self.several:
            trial.report(values[0], rung)
            return
        better = {"minimize": min, "maximize": max}
        most = values[:1]
        for name, found in zip(self.names[1:], values[1:], strict=True):
            most.append(better[DIRECTIONS[name]](found, float(curves.mean(name)[-1])))
        trial.set_user_attr(f"{_RUNG}{rung}", {"values": values, "hoped": most})

    def front(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The complete trials that no other dominates, by the first objective; of equal ones the first alone."""
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        return [complete[index] for index in front(self.losses([trial.values for trial in complete]))]


VAL_LOSS = Objectives()
"""The one objective of most studies."""


def reported(trial: FrozenTrial) -> dict[int, list[float]]:
    """A trial's values at each rung that it has reached."""
    found = {rung: [value] for rung, value in trial.intermediate_values.items()}
    for name, kept in trial.user_attrs.items():
        if name.startswith(_RUNG):
            found[int(name.removeprefix(_RUNG))] = kept["values"]
    return found


def hoped(trial: FrozenTrial, rung: int) -> list[float]:
    """The most that could be hoped of a trial of several objectives at a rung: of each the better of best and now."""
    found: list[float] = trial.user_attrs[f"{_RUNG}{rung}"]["hoped"]
    return found


def value(trial: FrozenTrial) -> float | None:
    """The first objective, the validation loss, so far if the trial was pruned; None where there is none."""
    if trial.values:
        return float(trial.values[0])
    found: float | None = trial.user_attrs.get(SUMMARY, {}).get("best_val_loss")
    return found


def front(losses: Losses) -> list[int]:
    """The places of those that no other dominates, by the first objective; of equal ones the first."""
    kept: list[int] = []
    # By all objectives in turn: whoever dominates one comes before it.
    for index in np.lexsort(losses.T[::-1]).tolist():
        if not (losses[kept] <= losses[index]).all(1).any():
            kept.append(index)
    return kept


def dominated(one: Losses, losses: Losses) -> int:
    """How many dominate one: are no worse in every objective, and better in some."""
    return int(((losses <= one).all(1) & (losses < one).any(1)).sum())


def hypervolume(losses: Losses, reference: Sequence[float]) -> float:
    """The measure of what the losses dominate, up to a reference point that bounds it.

    By slices along the last objective: between two of its values the measure of the others' front is constant.

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
