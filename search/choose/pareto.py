"""Prune in studies of several objectives: a trial stops if it is far behind others in all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from search.choose.peers import PeerPruner, at
from search.record.objectives import Losses, Objectives, dominated, hoped


class ParetoPruner(PeerPruner):
    """Pareto pruning: a trial stops if it is no better than a constant predictor, or far behind the front.

    It is far behind if at least `peers` others at the same rung dominate the best that can be hoped of it: for each
    objective, the better of its values at the best epoch so far and now. A trial whose loss rises for a while keeps
    an early best epoch, whose weights are not sparse yet, and both may change with the next best epoch. A trial whose
    loss never was finite stops too.

    Rungs are `min_epochs` apart, by default a quarter of all epochs. `benchmarks/pareto.py` chose that, and the number
    of peers: to stop a trial that one other dominates is too soon while trials still move along the front.

    Args:
        epochs: the most epochs that a trial of the study trains.
        min_epochs: the first rung, and the distance to the next.
        objectives: the objectives of the study.
        constant: the first objective of the best constant predictor; None if every trial is better than it.
    """

    peers = 3

    def __init__(self, epochs: int, *, min_epochs: int | None, objectives: Objectives, constant: float | None) -> None:
        super().__init__(epochs, aim=objectives.first)
        self.min_epochs = min_epochs or -(-epochs // 4)
        self._objectives, self._constant = objectives, constant

    def rungs(self) -> tuple[int, ...]:
        return tuple(range(self.min_epochs, self.epochs, self.min_epochs))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        finite = [values for peer in peers if (values := at(peer, rung)) is not None and math.isfinite(values[0])]
        losses = self._objectives.losses(finite)
        return [self._survives(hoped(trial, rung), losses) for trial in judged]

    def _survives(self, values: Sequence[float], losses: Losses) -> bool:
        if not math.isfinite(values[0]):
            return False
        if self._constant is not None and not self.aim.better(values[0], self._constant):
            return False
        return dominated(self._objectives.losses([values])[0], losses) < self.peers
