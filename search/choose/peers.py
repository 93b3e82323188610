"""What pruners among peers share: who is judged at a rung, and against whom.

Optuna's pruners judge each trial as it reports, against whoever happened to report before: the first at a rung always
survives, concurrent trials never prune each other. Here the peers of a trial are its own cohort and all earlier ones,
never later ones, so a verdict depends neither on the order of reports nor on the width of the machine (contract C5).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.record.objectives import reported

COHORT = "cohort"
"""Trial attribute: the index of the trial's cohort."""
TICKET = "ticket"
"""Trial attribute: the trial's rank among those not failed."""


class PeerPruner(BasePruner):
    """A pruner that compares objectives at one rung.

    Args:
        epochs: the most epochs that a trial of the study trains.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    @abstractmethod
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which a cohort is judged, ascending, all before the last."""

    @abstractmethod
    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        """Which of the judged go on.

        Args:
            judged: running trials that have reported at the rung.
            peers: everyone they are compared with, themselves included; `at` is what each had at the rung.
            rung: the epoch.
        """

    def league(self, trial: FrozenTrial) -> int:
        """Only trials of one league are compared."""
        del trial
        return 0

    def is_judged(self, trial: FrozenTrial, rung: int) -> bool:
        """Whether this rung is one of the trial's."""
        del trial
        return rung in self.rungs()

    def verdicts(self, trials: Sequence[FrozenTrial], cohort: int, rung: int) -> dict[int, bool]:
        """Whether each running trial of a cohort that has reported at a rung survives it, by number.

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
        verdict: dict[int, bool] = {}
        for league in sorted({self.league(trial) for trial in judged}):
            mine = [trial for trial in judged if self.league(trial) == league]
            peers = [
                trial
                for trial in trials
                if trial.user_attrs.get(COHORT, math.inf) <= cohort
                and self.league(trial) == league
                and at(trial, rung) is not None
            ]
            alive = self.survivors(mine, peers, rung)
            verdict |= {trial.number: lives for trial, lives in zip(mine, alive, strict=True)}
        return verdict

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Optuna's interface: whether the trial, at the last step it reported, falls behind its peers."""
        rung = max(reported(trial), default=None)
        if rung is None:
            return False
        trials = study.get_trials(deepcopy=False)
        return not self.verdicts(trials, trial.user_attrs.get(COHORT, 0), rung).get(trial.number, True)


def at(trial: FrozenTrial, rung: int) -> list[float] | None:
    """A trial's values at a rung, its final ones where it ended by itself before, None if it never got there."""
    there = reported(trial)
    if rung in there:
        return there[rung]
    if trial.state == TrialState.COMPLETE and max(there, default=0) < rung:
        return list(trial.values)
    if trial.state == TrialState.PRUNED and not there:
        return [math.inf]  # never finite, and so told before any rung: worse than all
    return None
