"""The pruners that forecast: a trial stops if even an optimistic forecast of it falls behind its peers.

Let L be the objective so far, and e' about half of e epochs. The forecast assumes that the improvement from e' to e
goes on as a power of the epochs until the last one, E:

    forecast = L(e) (L(e) / L(e'))^p,    p = log(E / e) / log(e / e')

Learning curves mostly flatten on logarithmic axes, so the forecast errs in the trial's favour. A trial that no longer
improves (the objective so far is a running minimum) is judged by its present value, a late bloomer by its forecast.
Losses are not negative: the best forecast is zero. Of another objective, L is the distance to its best possible value,
such as 1 minus the accuracy.

Rungs are a factor of sqrt(2) apart, so that e' is two rungs before e, and no trial is judged at the first two.

Source: Golovin et al., "Google Vizier" (KDD 2017), section 3.2; Domhan et al., "Speeding up automatic hyperparameter
optimization of deep neural networks by extrapolation of learning curves" (IJCAI 2015). Of their curves, this is the
power law whose limit is zero; it is not fitted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from search.choose.peers import PeerPruner, at, worst_of_best
from search.record.objectives import reported
from search.train.metrics.objective import VAL_LOSS, Objective

Floats = NDArray[np.float64]
_RIDGE = 1e-3  # the share of the mean square that is added to each


class CurvePruner(PeerPruner):
    """The performance curve rule: a trial survives if its forecast reaches what its best peers have at the same rung.

    These are the best eighth of the peers that were still in training at the rung or had ended, at least one. The first
    rung is at `min_epochs`, by default 2^-3.5 of all epochs, so that judging begins at about a sixth of them.
    """

    factor: ClassVar[int] = 8

    def __init__(self, epochs: int, *, min_epochs: int | None, aim: Objective = VAL_LOSS) -> None:
        super().__init__(epochs, aim=aim)
        self.min_epochs = min_epochs or max(1, round(epochs / 2**3.5))

    def loss_at(self, trial: FrozenTrial, rung: int) -> float:
        """Return how far the objective of a trial at a rung is from the best possible one."""
        values = at(trial, rung)
        return max(0.0, self.aim.gap(values[0])) if values and math.isfinite(values[0]) else math.inf

    def rungs(self) -> tuple[int, ...]:
        rungs = {round(self.epochs / 2 ** (half / 2)) for half in range(1, 2 * self.epochs.bit_length() + 1)}
        return tuple(sorted(rung for rung in rungs if self.min_epochs <= rung < self.epochs))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        index = self.rungs().index(rung)
        if index < 2:
            return [math.isfinite(self.loss_at(trial, rung)) for trial in judged]
        earlier = self.rungs()[index - 2]
        bar = worst_of_best([self.loss_at(peer, rung) for peer in peers], self.factor)
        forecasts = [self._forecast(trial, rung, earlier) for trial in judged]
        return [math.isfinite(forecast) and forecast <= bar for forecast in forecasts]

    def _forecast(self, trial: FrozenTrial, rung: int, earlier: int) -> float:
        """Return the forecast at the last epoch, infinite if the loss never was finite."""
        now, before = self.loss_at(trial, rung), self.loss_at(trial, earlier)
        if now >= before:
            return now
        power = math.log(self.epochs / rung) / math.log(rung / earlier)
        return float(now * (now / before) ** power)


class ForecastPruner(CurvePruner):
    """The performance curve rule among all peers, and a second forecast that is learnt from peers that have finished.

    Trials that were pruned before are peers too, as the worst ones. A trial survives a rung if its forecast reaches
    what the best twelfth of all peers have there, and if the second forecast reaches the best value of a finished peer.

    The second forecast begins with ten finished peers; those that ended at the same value count as one. Over these, the
    log of the improvement that remained after the rung is regressed on the logs of the improvements since one and two
    rungs before. The forecast is what this says of the trial, less 1.5 standard errors of a new observation. All trials
    of a replicate see the same batches in the same order, so they pause and go on at the same epochs: this is what a
    trial's own curve cannot tell, and finished peers can.

    The numbers twelve, ten and 1.5 were chosen by `benchmarks/pruning.py`.

    Source: as in the module; the regression is ordinary least squares with a slight ridge, because slopes may be equal.
    """

    factor = 12
    finished: ClassVar[int] = 10
    errors: ClassVar[float] = 1.5

    def is_peer(self, trial: FrozenTrial, rung: int) -> bool:
        return trial.state == TrialState.PRUNED or super().is_peer(trial, rung)

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = super().survivors(judged, peers, rung)
        place = self.rungs().index(rung)
        complete = [peer for peer in peers if peer.state == TrialState.COMPLETE and rung in reported(peer)]
        ended = {
            max(0.0, self.aim.gap(peer.values[0])): peer for peer in sorted(complete, key=lambda peer: -peer.number)
        }
        if place < 2 or len(ended) < self.finished:
            return survive
        remaining = np.array([_log_ratio(end, self.loss_at(peer, rung)) for end, peer in ended.items()])
        theirs, mine = self._slopes([*ended.values()], place), self._slopes(judged, place)
        improvement = _optimistic(theirs, remaining, mine, self.errors)
        now = np.array([self.loss_at(trial, rung) for trial in judged])
        with np.errstate(invalid="ignore"):
            reaches = now * np.exp(np.minimum(improvement, 0)) <= min(ended)
        return [one and bool(other) for one, other in zip(survive, reaches, strict=True)]

    def _slopes(self, trials: Sequence[FrozenTrial], place: int) -> Floats:
        """Return the log improvements since two rungs and one rung before, ``trials x 2``; none is positive."""
        rungs = self.rungs()
        return np.array(
            [
                [
                    _log_ratio(self.loss_at(trial, rungs[place]), self.loss_at(trial, rungs[place - back]))
                    for back in (2, 1)
                ]
                for trial in trials
            ]
        )


def _optimistic(x: Floats, y: Floats, asked: Floats, errors: float) -> Floats:
    """Return the regression of y on x at the points asked, less so many standard errors of a new observation.

    Args:
        x: ``observations x 2``.
        y: ``(observations,)``.
        asked: ``points x 2``.
        errors: the number of standard errors.
    """
    count, width = x.shape
    centre, level = x.mean(axis=0), y.mean()
    x, y, asked = x - centre, y - level, asked - centre
    square = x.T @ x
    square += np.eye(width) * (_RIDGE * np.trace(square) / width + 1e-12)
    weights = np.linalg.solve(square, x.T @ y)
    variance = float(((y - x @ weights) ** 2).sum()) / (count - width - 1)
    leverage = np.einsum("ij,ij->i", asked, np.linalg.solve(square, asked.T).T)
    found: Floats = level + asked @ weights - errors * np.sqrt(variance * (1 + 1 / count + leverage))
    return found


def _log_ratio(now: float, before: float) -> float:
    """Return log(now / before), at least -9: a loss may fall to zero, or have been infinite."""
    if not math.isfinite(now) or not math.isfinite(before) or now <= 0:
        return -9.0
    return max(-9.0, math.log(now / before))
