"""Pruning where there are several objectives: only what is beaten in all of them, several times over."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial

from search.choose.objectives import Objectives, dominated
from search.choose.peers import PeerPruner, at


class ParetoPruner(PeerPruner):
    """A trial stops at a rung if it was never finite, is no better than a constant predictor, or is far from the front.

    Far is to be dominated there by `peers` others or more. Few are not enough: what trades one objective for another
    moves along the front as it trains.

    Args:
        epochs: the most epochs that a trial of the study trains.
        min_epochs: the first rung; by default half of all epochs.
        objectives: of the study.
        constant: the validation loss of the best constant predictor.
    """

    peers = 5

    def __init__(self, epochs: int, *, min_epochs: int | None, objectives: Objectives, constant: float) -> None:
        super().__init__(epochs)
        self.min_epochs = min_epochs or -(-epochs // 2)
        self._objectives, self._constant = objectives, constant

    def rungs(self) -> tuple[int, ...]:
        """Half of what is left, again and again, while that is an eighth of all epochs or more."""
        found, rung = [], self.min_epochs
        while rung < self.epochs and self.epochs - rung >= self.epochs / 8:
            found.append(rung)
            rung += -(-(self.epochs - rung) // 2)
        return tuple(found)

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        there = [values for peer in peers if (values := at(peer, rung)) is not None and math.isfinite(values[0])]
        losses = self._objectives.losses(there)
        return [self._survives(at(trial, rung) or [math.inf], losses) for trial in judged]

    def _survives(self, values: Sequence[float], losses: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
        if not values[0] < self._constant:
            return False
        return dominated(self._objectives.losses([values])[0], losses) < self.peers
