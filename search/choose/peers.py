"""The base of all pruners: which trials are judged at a rung, and against which others.

Optuna's pruners judge each trial when it reports, against those that have reported before: the first trial at a rung
always survives, and concurrent trials never prune each other. Here the peers of a trial are its own cohort and all
earlier ones, never later ones. So a verdict depends neither on the order of reports nor on the number of slots
(contract C5, docs/design.md).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.record.objectives import reported
from search.record.own import COHORT
from search.train.metrics.objective import VAL_LOSS, Objective


class PeerPruner(BasePruner):
    """A pruner that compares the objectives of trials at a rung.

    Args:
        epochs: the most epochs that a trial of the study trains.
        aim: the first objective of the study.
    """

    def __init__(self, epochs: int, *, aim: Objective = VAL_LOSS) -> None:
        self.epochs, self.aim = epochs, aim

    @abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """Return the epochs at which a cohort is judged, ascending, all before the last epoch."""

    @abstractmethod
    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        """Return for each judged trial whether it survives.

        Args:
            judged: the running trials that have reported at the rung.
            peers: the trials they are compared with, themselves included; `at` gives their values at the rung.
            rung: the epoch.
        """

    def bracket(self, trial: FrozenTrial) -> int:
        """Return the bracket of a trial: only trials of the same bracket are compared."""
        del trial
        return 0

    def is_judged(self, trial: FrozenTrial, rung: int) -> bool:
        """Return whether the trial is judged at this rung."""
        del trial
        return rung in self.rungs()

    def is_peer(self, trial: FrozenTrial, rung: int) -> bool:
        """Return whether others are compared with the trial at this rung: by default, if it has a value there."""
        return at(trial, rung) is not None

    def verdicts(self, trials: Sequence[FrozenTrial], cohort: int, rung: int) -> dict[int, bool]:
        """Return by number whether each running trial of a cohort that has reported at a rung survives it.

        A trial that ended by itself before the rung counts with its final value.
        """
        judged = [
            trial
            for trial in trials
            if trial.state == TrialState.RUNNING
            and trial.user_attrs.get(COHORT) == cohort
            and rung in reported(trial)
            and self.is_judged(trial, rung)
        ]
        verdicts: dict[int, bool] = {}
        for bracket in sorted({self.bracket(trial) for trial in judged}):
            members = [trial for trial in judged if self.bracket(trial) == bracket]
            peers = [
                trial
                for trial in trials
                if trial.user_attrs.get(COHORT, math.inf) <= cohort
                and self.bracket(trial) == bracket
                and self.is_peer(trial, rung)
            ]
            survive = self.survivors(members, peers, rung)
            verdicts |= {trial.number: survives for trial, survives in zip(members, survive, strict=True)}
        return verdicts

    def loss_at(self, trial: FrozenTrial, rung: int) -> float:
        """Return the first objective of a trial at a rung as a loss; infinite if it has none that is finite."""
        return loss_at(trial, rung, self.aim)

    def no_worse(self, judged: Sequence[FrozenTrial], rung: int, bar: float) -> list[bool]:
        """Return for each judged trial whether its loss at a rung is finite, and no worse than the bar."""
        return [math.isfinite(loss := self.loss_at(trial, rung)) and loss <= bar for trial in judged]

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial falls behind its peers at the last step it reported; this is Optuna's interface."""
        rung = max(reported(trial), default=None)
        if rung is None:
            return False
        trials = study.get_trials(deepcopy=False)
        return not self.verdicts(trials, trial.user_attrs.get(COHORT, 0), rung).get(trial.number, True)


def at(trial: FrozenTrial, rung: int) -> list[float] | None:
    """Return a trial's values at a rung: its final ones if it ended by itself before, None if it was pruned before."""
    values = reported(trial)
    if rung in values:
        return values[rung]
    if trial.state == TrialState.COMPLETE and max(values, default=0) < rung:
        return list(trial.values)
    if trial.state == TrialState.PRUNED and not values:
        return [math.inf]  # its loss never was finite, so it ended before the first rung: it is worse than all others
    return None


def loss_at(trial: FrozenTrial, rung: int, aim: Objective = VAL_LOSS) -> float:
    """Return a trial's objective at a rung, with the sign that makes it a loss.

    It is infinite if the objective is not finite, or if the trial was pruned before.
    """
    values = at(trial, rung)
    return aim.loss(values[0]) if values and math.isfinite(values[0]) else math.inf


def worst_of_best(losses: Sequence[float], factor: int) -> float:
    """Return the worst of the best 1/factor of the losses, of one at least."""
    return sorted(losses)[max(1, len(losses) // factor) - 1]
