"""The order of the trials of a study, from the best to the worst."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

from optuna.trial import FrozenTrial

from search.record.curves import DIVERGED_AT
from search.record.feasible import INFEASIBLE, feasible, violated
from search.record.objectives import Objectives, reported
from search.record.own import finished

Item = TypeVar("Item")


def ranked(objectives: Objectives, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the finished trials, the best first; of equal ones the earlier one comes first.

    Feasible trials come first, by their objective. Several objectives rank them by non-dominated sorting: the front,
    the front of the others, and so on, each by its first objective. Then come the trials that were pruned or that
    diverged, those that trained longest first, and at last those that violate a constraint or never were finite.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (IEEE Trans. Evolutionary
    Computation 2002), for non-dominated sorting.
    """

    def loss(trial: FrozenTrial) -> float:
        value = objectives.value(trial)
        return math.inf if value is None or math.isnan(value) else objectives.first.loss(value)

    ended = finished(trials)
    sound = [trial for trial in feasible(ended) if DIVERGED_AT not in trial.user_attrs]
    order: list[FrozenTrial] = []
    if objectives.several:
        while sound:
            front = objectives.front(sound)
            order += front
            numbers = {trial.number for trial in front}
            sound = [trial for trial in sound if trial.number not in numbers]
    else:
        order = sorted(sound, key=lambda trial: (loss(trial), trial.number))
    numbers = {trial.number for trial in order}
    others = [trial for trial in ended if trial.number not in numbers]

    def place(trial: FrozenTrial) -> tuple[bool, int, float, int]:
        infeasible = bool(violated(trial)) or trial.constraints.get(INFEASIBLE, 0.0) > 0
        return infeasible, -max(reported(trial), default=0), loss(trial), trial.number

    return order + sorted(others, key=place)


def evenly(order: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many of the trials of an order, or of a front, evenly spaced, with both ends."""
    if len(order) <= most:
        return list(order)
    return [order[round(place * (len(order) - 1) / (most - 1))] for place in range(most)]
