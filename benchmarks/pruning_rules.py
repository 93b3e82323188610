"""Rules that `pruning.py` measures and that the package does not have, because they lost more than `forecast`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from search.choose.forecast import CurvePruner
from search.choose.peers import value_at, worst_of_best

FINISHED = 8
"""The finished peers that a rule needs before it learns from them."""


class FinishedPeersPruner(CurvePruner):
    """The curve rule, and a second forecast that is learnt from peers that have trained to their end."""

    factor = 4

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = super().survivors(judged, peers, rung)
        index = self.rungs().index(rung)
        ended = [peer for peer in peers if peer.state == TrialState.COMPLETE and math.isfinite(value_at(peer, rung))]
        if index < 2 or len(ended) < FINISHED:
            return survive
        best = sorted(float(peer.value or 0.0) for peer in ended)
        bar = best[min(len(best), max(1, len(peers) // 8)) - 1]
        now = np.array([value_at(trial, rung) for trial in judged])
        remaining = np.array([_ratio(float(peer.value or 0.0), value_at(peer, rung)) for peer in ended])
        forecasts = now * np.exp(
            np.minimum(0, self.remaining(self._slopes(judged, index), self._slopes(ended, index), remaining))
        )
        return [one and bool(forecast <= bar) for one, forecast in zip(survive, forecasts, strict=True)]

    def remaining(self, mine: np.ndarray, theirs: np.ndarray, remaining: np.ndarray) -> np.ndarray:
        """Return the log of each judged trial's remaining improvement, ``(judged,)``, if all goes well.

        Args:
            mine: the log improvements since the last two rungs of the judged trials, ``judged x 2``.
            theirs: those of the finished peers, ``ended x 2``.
            remaining: the remaining log improvements of the finished peers, ``(ended,)``.
        """
        raise NotImplementedError

    def _slopes(self, trials: Sequence[FrozenTrial], index: int) -> np.ndarray:
        rungs = self.rungs()
        return np.array(
            [
                [_ratio(value_at(one, rungs[index]), value_at(one, rungs[index - back])) for back in (2, 1)]
                for one in trials
            ]
        )


class RemainingPruner(FinishedPeersPruner):
    """The forecast is the largest improvement that a finished peer still had before it at this rung."""

    def remaining(self, mine: np.ndarray, theirs: np.ndarray, remaining: np.ndarray) -> np.ndarray:
        del theirs
        return np.full(len(mine), remaining.min())


class RegressionPruner(FinishedPeersPruner):
    """The forecast is that of a regression of the remaining improvement on the recent one, less two standard errors."""

    def remaining(self, mine: np.ndarray, theirs: np.ndarray, remaining: np.ndarray) -> np.ndarray:
        centre, level = theirs.mean(axis=0), remaining.mean()
        x, y, asked = theirs - centre, remaining - level, mine - centre
        square = x.T @ x
        square += np.eye(2) * (1e-3 * np.trace(square) / 2 + 1e-12)
        weights = np.linalg.solve(square, x.T @ y)
        deviation = math.sqrt(float(((y - x @ weights) ** 2).sum()) / (len(y) - 3))
        leverage = np.einsum("ij,jk,ik->i", asked, np.linalg.inv(square), asked)
        forecast: np.ndarray = level + asked @ weights - 2 * deviation * np.sqrt(1 + 1 / len(y) + leverage)
        return forecast


class DominatedPruner(CurvePruner):
    """A trial stops if six peers are better at the rung and have improved at least as much since two rungs before."""

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        index = self.rungs().index(rung)
        if index < 2:
            return [math.isfinite(value_at(trial, rung)) for trial in judged]
        at_rung = np.array([value_at(peer, rung) for peer in peers])
        slopes = np.array([self._slope(peer, index) for peer in peers])
        return [
            math.isfinite(value := value_at(trial, rung))
            and int(((at_rung < value) & (slopes <= self._slope(trial, index))).sum()) < 6
            for trial in judged
        ]

    def _slope(self, trial: FrozenTrial, index: int) -> float:
        return _ratio(value_at(trial, self.rungs()[index]), value_at(trial, self.rungs()[index - 2]))


class SchedulePruner(CurvePruner):
    """The curve rule with a twelfth, and halving at every rung: the best E/6e of all peers go on, a third at least."""

    factor = 12
    doublings = 4.5

    def is_peer(self, trial: FrozenTrial, rung: int) -> bool:
        return trial.state == TrialState.PRUNED or super().is_peer(trial, rung)

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = super().survivors(judged, peers, rung)
        values = sorted(value_at(peer, rung) for peer in peers)
        places = max(1, len(values) // 3, min(len(values), len(values) * self.epochs // (6 * rung)))
        return [one and value_at(trial, rung) <= values[places - 1] for one, trial in zip(survive, judged, strict=True)]


class HalfTimePruner(SchedulePruner):
    """The curve rule with a twelfth, and halving by present values at half time."""

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = CurvePruner.survivors(self, judged, peers, rung)
        if rung < round(self.epochs / 2):
            return survive
        bar = worst_of_best([value_at(peer, rung) for peer in peers], 3)
        return [one and value_at(trial, rung) <= bar for one, trial in zip(survive, judged, strict=True)]


def _ratio(now: float, before: float) -> float:
    """Return the log of now over before: 0 without improvement, and bounded, as losses may be zero or infinite."""
    if now >= before:
        return 0.0
    return max(-9.0, math.log(now / before)) if now > 0 and math.isfinite(before) else -9.0
