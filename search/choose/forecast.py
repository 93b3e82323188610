"""The pruners that forecast: a trial stops if even an optimistic forecast of it falls behind its peers.

Let L be the objective so far, and e' about half of e epochs. The forecast assumes that the improvement from e' to e
goes on as a power of the epochs until the last one, E:

    forecast = L(e) (L(e) / L(e'))^p,    p = log(E / e) / log(e / e')

Learning curves mostly flatten on logarithmic axes, so the forecast errs in the trial's favour. A trial that no longer
improves (the objective so far is a running minimum) is judged by its present value, a late bloomer by its forecast.
Objectives are losses, which are not negative: the best forecast is zero.

Rungs are a factor of sqrt(2) apart, so that e' is two rungs before e, and no trial is judged at the first two.

Source: Golovin et al., "Google Vizier" (KDD 2017), section 3.2; Domhan et al., "Speeding up automatic hyperparameter
optimization of deep neural networks by extrapolation of learning curves" (IJCAI 2015). Of their curves, this is the
power law whose limit is zero; it is not fitted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from optuna.trial import FrozenTrial, TrialState

from search.choose.peers import PeerPruner, value_at, worst_of_best
from search.record.objectives import reported


class CurvePruner(PeerPruner):
    """The performance curve rule: a trial survives if its forecast reaches what its best peers have at the same rung.

    These are the best eighth of the peers that were still in training at the rung or had ended, at least one. The first
    rung is at `min_epochs`, by default 2^-3.5 of all epochs, so that judging begins at about a sixth of them.
    """

    factor: ClassVar[int] = 8
    doublings: ClassVar[float] = 3.5
    """How often the epochs of the first rung double until the last epoch, by default."""

    def __init__(self, epochs: int, *, min_epochs: int | None) -> None:
        super().__init__(epochs)
        self.min_epochs = min_epochs or max(1, round(epochs / 2**self.doublings))

    def rungs(self) -> tuple[int, ...]:
        rungs = {round(self.epochs / 2 ** (half / 2)) for half in range(1, 2 * self.epochs.bit_length() + 1)}
        return tuple(sorted(rung for rung in rungs if self.min_epochs <= rung < self.epochs))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        index = self.rungs().index(rung)
        if index < 2:
            return [math.isfinite(value_at(trial, rung)) for trial in judged]
        earlier = self.rungs()[index - 2]
        bar = self.bar(peers, rung, earlier)
        forecasts = [self.forecast(trial, rung, earlier) for trial in judged]
        return [math.isfinite(forecast) and forecast <= bar for forecast in forecasts]

    def bar(self, peers: Sequence[FrozenTrial], rung: int, earlier: int) -> float:
        """Return the forecast that a trial needs at least; `earlier` is the rung that forecasts begin at."""
        del earlier
        return worst_of_best([value_at(peer, rung) for peer in peers], self.factor)

    def forecast(self, trial: FrozenTrial, rung: int, earlier: int) -> float:
        """Return the forecast of a trial at the last epoch: its end if it has ended, infinite if never finite."""
        now, before = value_at(trial, rung), value_at(trial, earlier)
        if rung not in reported(trial) or now >= before:
            return now
        power = math.log(self.epochs / rung) / math.log(rung / earlier)
        return float(now * (now / before) ** power)


class ForecastPruner(CurvePruner):
    """Forecasts from an eleventh of the epochs on, and successive halving by forecasts from half of them on.

    Trials that were pruned before are peers too, as the worst ones. A trial survives a rung if its forecast reaches
    what the best twelfth of all peers have there. From half of the epochs on, its forecast must also be among the best
    third of all peers' forecasts. At half time most ranks are settled, and forecasts rank a trial that still improves
    above one that does not.

    The first rung is at `min_epochs`, by default 2^-4.5 of all epochs. This, the twelfth and the third were chosen on
    the tuning studies of `benchmarks/pruning.py`.

    Source: as in the module, and Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020).
    """

    factor = 12
    doublings = 4.5
    share: ClassVar[int] = 3

    def is_peer(self, trial: FrozenTrial, rung: int) -> bool:
        return trial.state == TrialState.PRUNED or super().is_peer(trial, rung)

    def bar(self, peers: Sequence[FrozenTrial], rung: int, earlier: int) -> float:
        bar = super().bar(peers, rung, earlier)
        if rung < round(self.epochs / 2):
            return bar
        return min(bar, worst_of_best([self.forecast(peer, rung, earlier) for peer in peers], self.share))
