"""Rules that `pruning.py` measures and that the package does not have."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from search.choose.forecast import CurvePruner
from search.choose.peers import loss_at, worst_of_best


class RemainingPruner(CurvePruner):
    """The curve rule with a quarter, and a forecast by the most improvement that a finished peer still had before it.

    It needs eight finished peers, and asks of the forecast the value of the best eighth of all peers.
    """

    factor = 4

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = super().survivors(judged, peers, rung)
        ended = [peer for peer in peers if peer.state == TrialState.COMPLETE and math.isfinite(loss_at(peer, rung))]
        if self.rungs().index(rung) < 2 or len(ended) < 8:
            return survive
        finals = sorted(peer.values[0] for peer in ended)
        bar = finals[min(len(finals), max(1, len(peers) // 8)) - 1]
        most = min(peer.values[0] / loss_at(peer, rung) if peer.values[0] else 0.0 for peer in ended)
        return [one and loss_at(trial, rung) * most <= bar for one, trial in zip(survive, judged, strict=True)]


class DominatedPruner(CurvePruner):
    """A trial stops if six peers are better at the rung and have improved at least as much since two rungs before."""

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        place = self.rungs().index(rung)
        if place < 2:
            return [math.isfinite(loss_at(trial, rung)) for trial in judged]
        earlier = self.rungs()[place - 2]
        at_rung = [(loss_at(peer, rung), _left(peer, rung, earlier)) for peer in peers]
        verdicts = []
        for trial in judged:
            value, left = loss_at(trial, rung), _left(trial, rung, earlier)
            ahead = sum(other < value and others_left <= left for other, others_left in at_rung)
            verdicts.append(math.isfinite(value) and ahead < 6)
        return verdicts


class AmongAllPruner(CurvePruner):
    """The curve rule with the best twelfth of all peers, those that were pruned before included."""

    factor = 12

    def is_peer(self, trial: FrozenTrial, rung: int) -> bool:
        return trial.state == TrialState.PRUNED or super().is_peer(trial, rung)


class SchedulePruner(AmongAllPruner):
    """That, and halving at every rung e of E epochs: the best E / 6e of all peers go on, a third at least."""

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = super().survivors(judged, peers, rung)
        values = sorted(loss_at(peer, rung) for peer in peers)
        places = max(1, len(values) // 3, min(len(values), len(values) * self.epochs // (6 * rung)))
        return [one and loss_at(trial, rung) <= values[places - 1] for one, trial in zip(survive, judged, strict=True)]


class HalfTimePruner(AmongAllPruner):
    """That, and halving by forecasts from half time on: a trial's forecast is among the best third of all forecasts."""

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        survive = super().survivors(judged, peers, rung)
        place = self.rungs().index(rung)
        if place < 2 or rung < round(self.epochs / 2):
            return survive
        earlier = self.rungs()[place - 2]
        bar = worst_of_best([self._end(peer, rung, earlier) for peer in peers], 3)
        return [one and self._end(trial, rung, earlier) <= bar for one, trial in zip(survive, judged, strict=True)]

    def _end(self, trial: FrozenTrial, rung: int, earlier: int) -> float:
        now = loss_at(trial, rung)
        if not math.isfinite(now):
            return math.inf
        return now * math.pow(_left(trial, rung, earlier), math.log(self.epochs / rung) / math.log(rung / earlier))


def _left(trial: FrozenTrial, rung: int, earlier: int) -> float:
    """Return the share of the loss at the earlier rung that is left at the rung, 1 without improvement."""
    now, before = loss_at(trial, rung), loss_at(trial, earlier)
    return now / before if now < before else 1.0
